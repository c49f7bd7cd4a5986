"""Dropout: h ∘ m / (1 - p) with m ~ Bernoulli(1 - p) in training, h as it is afterwards. Row 45.

The notes set *weights* to 0, which is DropConnect (Wan et al. 2013), and leave out the factor 1/(1 - p),
without which the units of the next layer see less in training than later: `variant="notes"` is that, on the
weights of a layer.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ragkit.errors import RagkitError


class Dropout(nn.Module):
    """Zeroes each unit with probability `p` while training; any shape."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, h: Tensor) -> Tensor:
        return dropped(h, self.p) if self.training else h


class DropConnect(nn.Linear):
    """A linear layer whose weights are zeroed with probability `p` while training, anew for each batch.

    `variant="notes"` leaves out the factor 1/(1 - p).
    """

    def __init__(
        self, inputs: int, outputs: int, p: float, variant: Literal["standard", "notes"] = "standard"
    ) -> None:
        super().__init__(inputs, outputs)
        self.p, self.variant = p, variant

    def forward(self, h: Tensor) -> Tensor:
        """(batch, inputs) to (batch, outputs)."""
        weight = dropped(self.weight, self.p, self.variant == "standard") if self.training else self.weight
        return functional.linear(h, weight, self.bias)


def dropped(values: Tensor, p: float, scaled: bool = True) -> Tensor:
    """Each value zeroed with probability `p`, the others divided by 1 - p where `scaled`."""
    if not 0 <= p < 1:
        raise RagkitError(f"dropout of {p}: give a probability from 0 to below 1")
    kept = values * torch.empty_like(values).bernoulli_(1 - p)
    return kept / (1 - p) if scaled else kept
