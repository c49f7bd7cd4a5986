"""Additive attention: a_tj = softmax_j vᵀ tanh(W s_{t-1} + U h_j), context c_t = Σ_j a_tj h_j
(Bahdanau et al. 2015). Row 87.

The notes give scores "as long as the input" without a formula; this is the first published one. It is what
the self-attention of row 88 generalises: there the score is a dot product and the query a token itself.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ragkit.models.sequence.lstm import CellState, LstmLayer
from ragkit.models.sequence.masks import real_positions


class AdditiveAttention(nn.Module):
    """Weights of the places of a memory (batch, places, memory) for a query (batch, query)."""

    def __init__(self, query: int, memory: int, inner: int) -> None:
        super().__init__()
        self.query = nn.Linear(query, inner)
        self.memory = nn.Linear(memory, inner, bias=False)
        self.score = nn.Linear(inner, 1, bias=False)

    def forward(self, query: Tensor, memory: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """Context (batch, memory) and weights (batch, places), 0 where `real` is False."""
        scores = self.score((self.query(query)[:, None] + self.memory(memory)).tanh())[..., 0]
        weights = scores.masked_fill(~real, float("-inf")).softmax(dim=-1)
        return (weights[:, None] @ memory)[:, 0], weights


@dataclass(frozen=True, slots=True)
class AttentionState:
    """The decoder's cell, the encoder's states, which of them are tokens, and the last weights."""

    cell: CellState
    memory: Tensor
    real: Tensor
    weights: Tensor


class AttentiveEncoderDecoder(nn.Module):
    """A bidirectional encoder whose states the decoder looks at anew for each output token."""

    def __init__(self, source_vocabulary: int, target_vocabulary: int, width: int, hidden: int) -> None:
        super().__init__()
        self.source_tokens = nn.Embedding(source_vocabulary, width)
        self.ahead = LstmLayer(width, hidden)
        self.back = LstmLayer(width, hidden)
        self.target_tokens = nn.Embedding(target_vocabulary, width)
        self.attention = AdditiveAttention(hidden, 2 * hidden, hidden)
        self.cell = LstmLayer(width + 2 * hidden, hidden)
        self.output = nn.Linear(hidden + 2 * hidden, target_vocabulary)

    def forward(self, source: Tensor, lengths: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (batch, target, vocabulary) and attention weights (batch, target, source)."""
        state = self.start(source, lengths)
        logits, weights = [], []
        for tokens in inputs.unbind(1):
            scores, state = self.step(tokens, state)
            logits.append(scores)
            weights.append(state.weights)
        return torch.stack(logits, dim=1), torch.stack(weights, dim=1)

    def start(self, source: Tensor, lengths: Tensor) -> AttentionState:
        x = self.source_tokens(source)
        real = real_positions(lengths, source.shape[1])
        # Each row turned round within its length; padding changes places with padding.
        turned = (lengths[:, None] - 1 - torch.arange(source.shape[1], device=source.device)) % source.shape[
            1
        ]
        places = turned[:, :, None]
        back = self.back(x.gather(1, places.expand_as(x)), lengths=lengths)[0]
        memory = torch.cat(
            [self.ahead(x, lengths=lengths)[0], back.gather(1, places.expand_as(back))], dim=-1
        )
        zeros = memory.new_zeros(len(source), self.cell.outputs)
        return AttentionState((zeros, zeros), memory * real[:, :, None], real, real.to(memory.dtype))

    def step(self, tokens: Tensor, state: AttentionState) -> tuple[Tensor, AttentionState]:
        """Logits (rows, vocabulary) after one more token a row, for `decoding` and `forced_logits`."""
        context, weights = self.attention(state.cell[0], state.memory, state.real)
        x = torch.cat([self.target_tokens(tokens), context], dim=-1)
        hidden, cell = self.cell(x[:, None], state.cell)
        logits = self.output(torch.cat([hidden[:, 0], context], dim=-1))
        return logits, replace(state, cell=cell, weights=weights)
