"""The mixture of writing and copying of a pointer-generator (See et al. 2017, equation 9)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(slots=True)
class CopyMixture:
    """p = sigmoid(gate) softmax(words hidden + word_bias) + sigmoid(-gate) softmax(copy), summed by token.

    Attributes:
        hidden: decoder states, (rows, target, hidden).
        words, word_bias: output embeddings, (vocabulary, hidden) and (vocabulary,).
        gate: log-odds of writing against copying, (rows, target), float32.
        copy: scores of the candidates to copy, -inf for none, (rows, target, candidates), float32.
        ids: the token that each candidate stands for, (sources, candidates); each source is that of rows /
            sources rows, which lie side by side.
        firsts: the first candidate that stands for the same token, (sources, candidates).
    """

    hidden: Tensor
    words: Tensor
    word_bias: Tensor
    gate: Tensor
    copy: Tensor
    ids: Tensor
    firsts: Tensor

    def log_probability_of(self, labels: Tensor) -> Tensor:
        """log p of the labels (rows, target) that are not negative, in order, as one vector in float32."""
        there = labels >= 0
        wanted, copy, gate = labels[there], self.copy[there], self.gate[there]
        ids = self.ids[there.nonzero()[:, 0] // (len(labels) // len(self.ids))]
        scores = functional.linear(self.hidden[there], self.words, self.word_bias).float()
        written = torch.log_softmax(scores, -1).gather(-1, wanted[:, None])[:, 0]
        same = copy.masked_fill(ids != wanted[:, None], float("-inf"))
        copied = _log_sum_exp(same) - torch.logsumexp(copy, -1)
        return torch.logaddexp(functional.logsigmoid(gate) + written, functional.logsigmoid(-gate) + copied)

    def log_probabilities(self) -> Tensor:
        """log p of every token, (rows, target, vocabulary), in float32."""
        scores = functional.linear(self.hidden, self.words, self.word_bias).float()
        written = torch.log_softmax(scores, -1) + functional.logsigmoid(self.gate)[..., None]
        # Candidates of one token share its mass, which is put in once, at the first of them.
        several = len(self.copy) // len(self.ids)
        firsts, where = (
            x.repeat_interleave(several, 0)[:, None].expand_as(self.copy) for x in (self.firsts, self.ids)
        )
        mass = torch.zeros_like(self.copy).scatter_add(-1, firsts, torch.softmax(self.copy, -1))
        copied = (
            mass.clamp(min=torch.finfo(mass.dtype).tiny).log() + functional.logsigmoid(-self.gate)[..., None]
        )
        at = written.gather(-1, where)
        return written.scatter_add(-1, where, (torch.logaddexp(at, copied) - at) * (mass > 0))


def first_places(ids: Tensor) -> Tensor:
    """For each place of a row the first one that holds the same number, (batch, places) -> the same."""
    ordered, order = ids.sort(dim=-1, stable=True)
    places = torch.arange(ids.shape[-1], device=ids.device).expand_as(ids)
    begins = torch.ones_like(ids, dtype=torch.bool)
    begins[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    begin = torch.where(begins, places, 0).cummax(dim=-1).values
    return torch.empty_like(ids).scatter_(-1, order, order.gather(-1, begin))


def _log_sum_exp(values: Tensor) -> Tensor:
    """logsumexp over the last dimension whose gradient is 0, not NaN, where all values are -inf."""
    none = torch.isneginf(values).all(-1)
    total = torch.logsumexp(values.masked_fill(none[..., None], 0.0), -1)
    return total.masked_fill(none, float("-inf"))
