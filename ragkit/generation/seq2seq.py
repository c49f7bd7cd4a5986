"""Any Hugging Face encoder-decoder as a generator: T5, BART, EncoderDecoderModel, our pointer-generator."""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, Self

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput, ModelOutput

from ragkit.corpus.document import Passage
from ragkit.errors import RagkitError
from ragkit.generation.cache import select_rows
from ragkit.generation.generator import Ending, Tokens
from ragkit.generation.half import in_precision
from ragkit.generation.pointer_generator import SourceOutput
from ragkit.generation.prompt_cache import PromptCache
from ragkit.generation.prompt_encoder import PromptEncoder
from ragkit.generation.prompts import SEQ2SEQ_FORMATS, T5, Prompt, fit, renderer
from ragkit.generation.shared_source import can_share, shared_source
from ragkit.generation.surface import surface_from_passage
from ragkit.generation.window import decoder_window, padded, reading_window, token_ids
from ragkit.runtime.precision import AUTO

MARGIN = math.log(1000)
"""Of log p, below a passage's likeliest answer: safe for up to hundreds of passages, see `Ending.margin`."""


STATES = ("last_hidden_state",)
COPYING = (*STATES, "memory", "next_keys", "stop_keys")
"""What the decoder asks of the encoder; a pointer-generator's asks for more."""


class Seq2SeqGenerator:
    """Encodes every prompt once; search and scoring go on from the encoder states and the cross-attention's
    keys and values.

    Args:
        model: an `AutoModelForSeq2SeqLM`; it is put into evaluation mode.
        tokenizer: its tokenizer.
        prompt: a format of `prompts.py`; left out, `config.ragkit_prompt`, or what suits the model's type.
        precision: as in `half.in_precision`; int8 is for the encoder, beside a decoder as by "auto".
        cache_bytes: of encoder states kept. As question and passage are encoded together, they serve only the
            same question over the same passage.
        runtime: of the encoder, as in `ragkit.runtime.model_graph.ModelGraph`; the decoder is torch's. As a
            graph the encoder has the weights of when it was loaded: train with "torch".
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: Any,
        prompt: str | None = None,
        precision: str = AUTO,
        cache_bytes: int = 0,
        runtime: str = AUTO,
    ) -> None:
        self.model = model.eval()
        self.cache = PromptCache(cache_bytes)
        self._computed, self.bf16 = in_precision(model, AUTO if precision == "int8" else precision)
        self.tokenizer = tokenizer
        config, generation = model.config, model.generation_config
        default = SEQ2SEQ_FORMATS.get(config.model_type, T5)
        self.render = renderer(tokenizer, prompt or getattr(config, "ragkit_prompt", None) or default)
        self.copies = config.model_type == "ragkit-pointer-generator"
        self.window = reading_window(model.get_encoder().config, tokenizer)
        self._encode = PromptEncoder(
            model, self._computed, self.bf16, tokenizer, COPYING if self.copies else STATES, self.render,
            self.window, runtime, precision,
        )  # fmt: skip
        self.prefix = _prefix(model)
        stops = token_ids(
            generation.eos_token_id, getattr(config, "eos_token_id", None), tokenizer.eos_token_id
        )
        if not stops:
            raise RagkitError(
                f"the {config.model_type} model names no eos_token_id: its answers would not end"
            )
        penalty = generation.length_penalty
        if penalty is None:
            # transformers' default; our own model's beams are ranked by log p itself, so that search ends as
            # soon as no longer answer can be likelier.
            penalty = 0.0 if self.copies else 1.0
        self.ending = Ending(
            stops,
            forced=next(iter(token_ids(generation.forced_eos_token_id)), None),
            length_penalty=penalty,
            counted=len(self.prefix) - 1,
            margin=MARGIN if penalty == 0 else float("inf"),
            empty_is_none=self.copies,
        )

    def read(
        self, questions: Sequence[str], passages: Sequence[Passage], answer_tokens: int
    ) -> tuple["Seq2SeqReading", list[int]]:
        """See `Generator.read`. The encoder runs once, over (prompts, longest prompt) tokens."""
        room = decoder_window(self.model.config)
        if len(self.prefix) + answer_tokens > room:
            raise RagkitError(
                f"answers of {answer_tokens} tokens are too long for this model, which writes "
                f"{room - len(self.prefix)} at most: lower the answer's length"
            )
        prompts = [
            fit(self.render, question, passage, self.window)
            for question, passage in zip(questions, passages, strict=True)
        ]
        return self.encode(prompts), [prompt.cut for prompt in prompts]

    def encode(self, prompts: Sequence[Prompt]) -> "Seq2SeqReading":
        """Runs the encoder over the prompts, those of like length together, and the decoder over its start
        tokens."""
        inputs = padded(prompts, self.tokenizer, self.model.device)
        fields = self._encode(prompts, self.cache)
        if self.copies:
            fields["attention_mask"] = inputs["attention_mask"]
        encoded = (SourceOutput if self.copies else BaseModelOutput)(**fields)
        if isinstance(encoded, SourceOutput):
            encoded.offer(inputs["input_ids"], self._computed.get_encoder().separator)
        with torch.no_grad():
            return Seq2SeqReading.begin(self._computed, encoded, inputs["attention_mask"], self.prefix)

    def text(self, answer: Tokens, passage: Passage) -> str:
        if self.copies:
            return surface_from_passage(self.tokenizer, answer, passage.text)
        return str(self.tokenizer.decode(list(answer), skip_special_tokens=True)).strip()


class Seq2SeqReading:
    """Encoder states, (sources, source, hidden) and what else the encoder gives, with the decoder's cache.

    Every source is read by as many rows, which lie side by side: its states, and the cross-attention's keys
    and values, are there once. Where the model cannot share them, each row has a source of its own.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        encoded: ModelOutput,
        mask: Tensor,
        cache: EncoderDecoderCache,
        logits: Tensor,
        shares: bool,
    ) -> None:
        self.model = model
        self.encoded = encoded
        self.mask = mask
        self.cache = cache
        self.logits = logits
        self.shares = shares

    @classmethod
    def begin(cls, model: PreTrainedModel, encoded: ModelOutput, mask: Tensor, prefix: Tokens) -> Self:
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        shares = isinstance(encoded, SourceOutput) or can_share(model)
        reading = cls(model, encoded, mask, cache, torch.empty(0), shares)
        start = torch.tensor([prefix], device=mask.device).expand(len(mask), -1)
        reading.logits = reading.extend(start)[:, -1]
        return reading

    def select(self, rows: Tensor) -> Self:
        sources = rows // (len(self.logits) // len(self.mask))
        if self.shares:
            distinct, counts = torch.unique_consecutive(sources, return_counts=True)
            if bool((counts == counts[0]).all()):
                sources = distinct
        encoded, mask, crossed = self.encoded, self.mask, self.cache.cross_attention_cache
        if not torch.equal(sources, torch.arange(len(mask), device=sources.device)):
            chosen = {
                name: value.index_select(0, sources) if isinstance(value, Tensor) else value
                for name, value in encoded.items()
            }
            encoded, mask = type(encoded)(**chosen), mask.index_select(0, sources)
            crossed = select_rows(crossed, sources)
        cache = EncoderDecoderCache(select_rows(self.cache.self_attention_cache, rows), crossed)
        return type(self)(self.model, encoded, mask, cache, self.logits.index_select(0, rows), self.shares)

    def reorder(self, rows: Tensor) -> None:
        self.cache.self_attention_cache.reorder_cache(rows)

    def extend(self, tokens: Tensor) -> Tensor:
        several = len(tokens) > len(self.mask)
        foreign = several and not isinstance(self.encoded, SourceOutput)
        with torch.no_grad(), shared_source(self.model) if foreign else nullcontext():
            written = self.model(
                encoder_outputs=self.encoded,
                attention_mask=self.mask,
                decoder_input_ids=tokens,
                past_key_values=self.cache,
                use_cache=True,
            )
        return written.logits if written.logits.dtype == torch.float64 else written.logits.float()


def _prefix(model: PreTrainedModel) -> Tokens:
    """What every answer begins with, at no cost of probability: the start token and a forced BOS."""
    config, generation = model.config, model.generation_config
    decoder = getattr(config, "decoder", None)
    for source in (generation, config, decoder):
        for name in ("decoder_start_token_id", "bos_token_id"):
            start = token_ids(getattr(source, name, None))
            if start:
                return (start[0], *token_ids(generation.forced_bos_token_id))
    raise RagkitError(f"the model {config.model_type} names no decoder_start_token_id: set it in its config")
