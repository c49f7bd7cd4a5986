"""Any Hugging Face decoder-only language model as a generator, with its chat template where it has one."""

import inspect
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from ragkit.corpus.document import Passage
from ragkit.errors import RagkitError
from ragkit.generation.cache import select_rows, take_rows
from ragkit.generation.generator import Ending, Tokens
from ragkit.generation.half import in_precision
from ragkit.generation.prompt_cache import Kept, PromptCache, key_of, shared_length
from ragkit.generation.prompts import INSTRUCTION, Prompt, fit, renderer
from ragkit.generation.window import padded, reading_window, token_ids
from ragkit.runtime.precision import AUTO


class CausalGenerator:
    """Reads every prompt once; search and scoring go on from its cached keys and values.

    Args:
        model: an `AutoModelForCausalLM`; it is put into evaluation mode.
        tokenizer: its tokenizer.
        prompt: a template of `prompts.py`; left out, `config.ragkit_prompt`, or an instruction to answer
            briefly. With a chat template it is the user's message; without one, "Answer:" follows and a
            line's end ends the answer, as such models were not taught to stop.
        precision: as in `half.in_precision`.
        cache_bytes: of keys and values of prompts kept. A prompt over a passage that was read before is read
            from where it differs, which with the question at its end is the question alone.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: Any,
        prompt: str | None = None,
        precision: str = AUTO,
        cache_bytes: int = 0,
    ) -> None:
        self.model = model.eval()
        self.cache = PromptCache(cache_bytes)
        self._computed, self.bf16 = in_precision(model, precision)
        self.tokenizer = tokenizer
        chat = bool(tokenizer.chat_template)
        format = prompt or getattr(model.config, "ragkit_prompt", None)
        default = INSTRUCTION if chat else f"{INSTRUCTION}\nAnswer:"
        self.render = renderer(tokenizer, format or default, chat=chat)
        self.window = reading_window(model.config.get_text_config(), tokenizer)
        stops = {*token_ids(model.generation_config.eos_token_id), *token_ids(tokenizer.eos_token_id)}
        if not chat:
            stops.update(tokenizer("\n", add_special_tokens=False)["input_ids"][-1:])
        if not stops:
            raise RagkitError(f"the model {model.config.model_type} names no eos_token_id")
        self.ending = Ending(tuple(sorted(stops)))

    def read(
        self, questions: Sequence[str], passages: Sequence[Passage], answer_tokens: int
    ) -> tuple["CausalReading", list[int]]:
        """See `Generator.read`. The prompts run through the model once, padded on the left."""
        window = self.window - answer_tokens
        if window < 1:
            raise RagkitError(f"answers of {answer_tokens} tokens leave no room in a window of {self.window}")
        prompts = [
            fit(self.render, question, passage, window)
            for question, passage in zip(questions, passages, strict=True)
        ]
        return self.encode(prompts, passages), [prompt.cut for prompt in prompts]

    def encode(self, prompts: Sequence[Prompt], passages: Sequence[Passage]) -> "CausalReading":
        """Runs the model over the prompts, each from where it differs from what was kept of its passage."""
        tokens = [tuple(prompt.inputs["input_ids"]) for prompt in prompts]
        keys = [key_of(passage.title, passage.text) for passage in passages]
        begun: list[dict[str, Tensor]] = []
        rest = []
        for prompt, own, key in zip(prompts, tokens, keys, strict=True):
            kept = self.cache.get(key)
            # The last token is read in any case, for the logits after it.
            same = min(shared_length(own, kept.tokens), len(own) - 1) if kept else 0
            begun.append({n: t[..., :same, :] for n, t in kept.tensors.items()} if kept and same else {})
            rest.append(Prompt({name: values[same:] for name, values in prompt.inputs.items()}, prompt.cut))
        inputs = padded(rest, self.tokenizer, self.model.device, left=True)
        reading = CausalReading.begin(self._computed, inputs["input_ids"], inputs["attention_mask"], begun)
        if self.cache.limit:
            for row, (own, key) in enumerate(zip(tokens, keys, strict=True)):
                if written := reading.written(row):
                    self.cache.put(key, Kept(own, written))
        return reading

    def text(self, answer: Tokens, passage: Passage) -> str:
        written = answer[:-1] if answer and answer[-1] in self.ending.stops else answer
        return str(self.tokenizer.decode(list(written), skip_special_tokens=True)).strip()


class CausalReading:
    """Keys and values of prompt and answer; `mask`, (rows, tokens), is 0 on the padding before the prompt."""

    shares = False

    def __init__(self, model: PreTrainedModel, mask: Tensor, cache: Cache, logits: Tensor) -> None:
        self.model = model
        self.mask = mask
        self.cache = cache
        self.logits = logits

    @classmethod
    def begin(
        cls, model: PreTrainedModel, tokens: Tensor, mask: Tensor, begun: Sequence[dict[str, Tensor]]
    ) -> Self:
        """Reads tokens (rows, tokens), padded on the left, behind what was read of each row before: what
        `written` gave, or nothing."""
        cache = DynamicCache(config=model.config)
        lengths = [of_row["keys"].shape[-2] if of_row else 0 for of_row in begun]
        before = mask.new_zeros(len(mask), max(lengths))
        for row, length in enumerate(lengths):
            before[row, before.shape[1] - length :] = 1
        if before.shape[1]:
            some = next(of_row for of_row in begun if of_row)
            for layer in range(len(some["keys"])):
                states = []
                for name in ("keys", "values"):
                    states.append(
                        some[name].new_zeros(
                            len(mask), *some[name].shape[1:2], *before.shape[1:], some[name].shape[-1]
                        )
                    )
                    for row, (of_row, length) in enumerate(zip(begun, lengths, strict=True)):
                        if length:
                            states[-1][row, :, -length:] = of_row[name][layer]
                cache.update(*states, layer)
        reading = cls(model, before, cache, torch.empty(0))
        reading.logits = reading._forward(tokens, mask, last_only=True)[:, -1]
        return reading

    def written(self, row: int) -> dict[str, Tensor]:
        """Keys and values of a row's tokens, each (layers, heads, tokens, size); none where a layer of the
        model forgets what lies behind (a sliding window)."""
        layers = self.cache.layers
        if any(type(layer) is not DynamicLayer for layer in layers):
            return {}
        there = self.mask[row].bool()
        return {
            "keys": torch.stack([layer.keys[row][:, there] for layer in layers]),
            "values": torch.stack([layer.values[row][:, there] for layer in layers]),
        }

    def select(self, rows: Tensor) -> Self:
        return type(self)(
            self.model,
            take_rows(self.mask, rows),
            select_rows(self.cache, rows),
            take_rows(self.logits, rows),
        )

    def reorder(self, rows: Tensor) -> None:
        self.cache.reorder_cache(rows)

    def extend(self, tokens: Tensor) -> Tensor:
        return self._forward(tokens, torch.ones_like(tokens))

    def _forward(self, tokens: Tensor, mask: Tensor, last_only: bool = False) -> Tensor:
        self.mask = torch.cat([self.mask, mask], dim=1)
        accepted = inspect.signature(self.model.forward).parameters
        options: dict[str, Any] = {}
        if "position_ids" in accepted:
            options["position_ids"] = (self.mask.cumsum(-1) - 1).clamp(min=0)[:, -tokens.shape[1] :]
        if last_only and "logits_to_keep" in accepted:
            options["logits_to_keep"] = 1
        with torch.no_grad():
            written = self.model(
                input_ids=tokens,
                attention_mask=self.mask,
                past_key_values=self.cache,
                use_cache=True,
                **options,
            )
        return written.logits if written.logits.dtype == torch.float64 else written.logits.float()
