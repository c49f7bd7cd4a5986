"""The mixture of writing and copying of a pointer-generator (See et al. 2017, equation 9)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(slots=True)
class CopyMixture:
    """p = sigmoid(gate) softmax(words hidden + word_bias) + sigmoid(-gate) softmax(copy), summed by token.

    Attributes:
        hidden: decoder states, (batch, target, hidden).
        words, word_bias: output embeddings, (vocabulary, hidden) and (vocabulary,).
        gate: log-odds of writing against copying, (batch, target), float32.
        copy: scores of the candidates to copy, -inf for none, (batch, target, candidates), float32.
        ids: the token that each candidate stands for, (batch, candidates).
    """

    hidden: Tensor
    words: Tensor
    word_bias: Tensor
    gate: Tensor
    copy: Tensor
    ids: Tensor

    def log_probability_of(self, labels: Tensor) -> Tensor:
        """log p of the labels (batch, target) that are not negative, in order, as one vector in float32."""
        there = labels >= 0
        wanted, copy, gate = labels[there], self.copy[there], self.gate[there]
        ids = self.ids[there.nonzero()[:, 0]]
        scores = functional.linear(self.hidden[there], self.words, self.word_bias).float()
        written = torch.log_softmax(scores, -1).gather(-1, wanted[:, None])[:, 0]
        same = copy.masked_fill(ids != wanted[:, None], float("-inf"))
        copied = _log_sum_exp(same) - torch.logsumexp(copy, -1)
        return torch.logaddexp(functional.logsigmoid(gate) + written, functional.logsigmoid(-gate) + copied)

    def log_probabilities(self) -> Tensor:
        """log p of every token, (batch, target, vocabulary), in float32."""
        scores = functional.linear(self.hidden, self.words, self.word_bias).float()
        written = torch.log_softmax(scores, -1) + functional.logsigmoid(self.gate)[..., None]
        same = self.ids[:, :, None] == self.ids[:, None]
        mass = torch.softmax(self.copy, -1) @ same.float()
        copied = (
            mass.clamp(min=torch.finfo(mass.dtype).tiny).log() + functional.logsigmoid(-self.gate)[..., None]
        )
        # Candidates of one token share its mass: it is put in at the first of them, so gradients count once.
        first = ~same.tril(-1).any(-1)
        where = self.ids[:, None].expand_as(copied)
        at = written.gather(-1, where)
        gain = (torch.logaddexp(at, copied) - at) * (first[:, None] & (mass > 0))
        return written.scatter_add(-1, where, gain)


def _log_sum_exp(values: Tensor) -> Tensor:
    """logsumexp over the last dimension whose gradient is 0, not NaN, where all values are -inf."""
    none = torch.isneginf(values).all(-1)
    total = torch.logsumexp(values.masked_fill(none[..., None], 0.0), -1)
    return total.masked_fill(none, float("-inf"))
