"""Recurrent network: h_t = tanh(W_hh h_{t-1} + W_hx x_t + b), O_t = softmax(W_ho h_t + c) (Elman 1990).
Row 75.

The notes have no biases; a zero input then always leaves the state at zero. `variant="notes"` is that form.
"""

from typing import Literal

import torch
from torch import Tensor, nn


class Rnn(nn.Module):
    """One hidden layer and its output, (batch, tokens, width) to (batch, tokens, outputs)."""

    def __init__(
        self, width: int, hidden: int, outputs: int, variant: Literal["standard", "notes"] = "standard"
    ) -> None:
        super().__init__()
        bias = variant == "standard"
        self.input = nn.Linear(width, hidden, bias)
        self.recurrent = nn.Linear(hidden, hidden, bias=False)
        self.output = nn.Linear(hidden, outputs, bias)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Probabilities of the outputs after each token, and the last hidden state (batch, hidden)."""
        hidden, state = self.hidden_states(x, state)
        return self.output(hidden).softmax(dim=-1), state

    def logits(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`forward` before the softmax: what a loss takes."""
        hidden, state = self.hidden_states(x, state)
        return self.output(hidden), state

    def hidden_states(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """All hidden states (batch, tokens, hidden) and the last one."""
        h = x.new_zeros(len(x), self.recurrent.in_features) if state is None else state
        states = []
        for drive in self.input(x).unbind(1):
            h = (drive + self.recurrent(h)).tanh()
            states.append(h)
        return torch.stack(states, dim=1), h
