"""What is trained of RAG: the question tower, the generator and, if wanted, the passage tower."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ragkit.generation.pointer_generator import PointerGenerator
from ragkit.generation.seq2seq import Seq2SeqGenerator
from ragkit.training.half_precision import register_lean_attention

Features = dict[str, Any]
"""What a sentence-transformers module reads: input_ids and attention_mask, (texts, tokens)."""


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What was found for b questions, k passages each; the b * k pairs are numbered row by row.

    Attributes:
        rows: of the index, (b, k).
        vectors: of the passages, (b, k, dimension), or what the passage tower makes them of.
        prompts: the pairs in parts of like length: their numbers, and the generator's inputs.
    """

    rows: Tensor
    vectors: Tensor | Features
    prompts: Sequence[tuple[Tensor, dict[str, Tensor]]]


class RagModel(nn.Module):
    """Scores of the passages found, and the generator's likelihood of the answers from each of them.

    Args:
        question: tower whose output holds a "sentence_embedding".
        generator: its model is trained, and prompted as it says.
        cosine: vectors are of length one.
        temperature: score / temperature is a log-odds.
        passage: tower of the passages, where it is trained.
    """

    def __init__(
        self,
        question: nn.Module,
        generator: Seq2SeqGenerator,
        cosine: bool,
        temperature: float,
        passage: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.question, self.passage = question, passage
        self.generator: nn.Module = generator.model
        self._prefix = torch.tensor(generator.prefix)
        self._cosine, self._temperature = cosine, temperature

    def forward(
        self, questions: Features, retrieve: Callable[[Tensor], Retrieved], answers: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Log-odds (b, k), log p(y_i|x,z,y_<i) of the answers' tokens (b, k, t), and rows found (b, k).

        Args:
            retrieve: finds passages for question vectors, (b, dimension), which carry no gradient there.
            answers: tokens with their end, -100 behind it, (b, t).
        """
        vectors = self._embed(self.question, questions)
        found = retrieve(vectors.detach())
        batch, k = found.rows.shape
        passages = found.vectors
        if not isinstance(passages, Tensor):
            assert self.passage is not None
            passages = self._embed(self.passage, passages).view(batch, k, -1)
        scores = (passages @ vectors[..., None])[..., 0] / self._temperature
        parts = [self.token_log_likelihoods(inputs, answers[pairs // k]) for pairs, inputs in found.prompts]
        order = torch.cat([pairs for pairs, _ in found.prompts]).argsort()
        return scores, torch.cat(parts)[order].view(batch, k, -1), found.rows

    def token_log_likelihoods(self, inputs: dict[str, Tensor], labels: Tensor) -> Tensor:
        """log p of every token of the labels (n, t) after those before it; 0 where they are negative."""
        model, there = self.generator, labels >= 0
        if isinstance(model, PointerGenerator):
            source = model.encoder(inputs["input_ids"], inputs["attention_mask"])
            log_p = model.decode(source, model.prefixes(labels)).log_probability_of(labels)
            return torch.zeros(labels.shape, dtype=log_p.dtype, device=log_p.device).masked_scatter(
                there, log_p
            )
        before = labels[:, :-1].masked_fill(~there[:, :-1], 0)
        prefix = self._prefix.to(labels.device).expand(len(labels), -1)
        written = model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            decoder_input_ids=torch.cat([prefix, before], 1),
            use_cache=False,
        )
        logits = _at_least_single(written.logits[:, prefix.shape[1] - 1 :])
        chosen = logits.log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0]
        return chosen.masked_fill(~there, 0.0)

    def _embed(self, tower: nn.Module, features: Features) -> Tensor:
        vectors = _at_least_single(tower(dict(features))["sentence_embedding"])
        return functional.normalize(vectors, dim=-1) if self._cosine else vectors


def _at_least_single(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


@contextmanager
def generator_shape(model: Any, frozen_layers: int) -> Iterator[None]:
    """Makes training the generator cheap: no dropout, embeddings and the encoder's lowest layers frozen,
    lean attention where its encoder is a BERT, undone at the end."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    model.get_input_embeddings().requires_grad_(False)
    for layer in _layers(model.get_encoder())[:frozen_layers]:
        layer.requires_grad_(False)
    if not isinstance(model, PointerGenerator):
        yield
        return
    bert = model.encoder.bert
    bert.embeddings.requires_grad_(False)
    own = bert.config._attn_implementation
    bert.set_attn_implementation(register_lean_attention())
    try:
        yield
    finally:
        bert.set_attn_implementation(own)


def _layers(encoder: nn.Module) -> list[nn.Module]:
    """An encoder's layers, lowest first: the longest list of modules in it."""
    lists = [list(module) for module in encoder.modules() if isinstance(module, nn.ModuleList)]
    return max(lists, key=len, default=[])
