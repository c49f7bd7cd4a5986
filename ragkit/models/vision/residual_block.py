"""Residual block: h ← h + f[h],  f = Linear ∘ ReLU ∘ Linear ∘ ReLU. Row 59.

The notes' order. A ReLU at its head lets f see nothing of inputs below zero, so the first block of a network
wants a Linear before it, which the notes leave out (row 58 has it). With `normalise` a batch norm (row 60)
stands before each ReLU (He et al. 2016, Identity Mappings in Deep Residual Networks).

With a last Linear of zeros the block is the identity, and K blocks begin as none.
"""

import torch
from torch import Tensor, nn

from ragkit.models.basics.activations import relu
from ragkit.models.basics.initialisation import he
from ragkit.models.vision.batch_norm import BatchNorm


class ResidualBlock(nn.Module):
    """(batch, width) to (batch, width); `skip=False` leaves h + away, the plain block to compare with."""

    def __init__(
        self, width: int, *, normalise: bool = False, skip: bool = True, zero_last: bool = False
    ) -> None:
        super().__init__()
        self.skip = skip
        last = he_linear(width, width)
        self.norms = nn.ModuleList(BatchNorm(width) if normalise else nn.Identity() for _ in range(2))
        if zero_last:
            nn.init.zeros_(last.weight)
        self.linears = nn.ModuleList([he_linear(width, width), last])

    def f(self, h: Tensor) -> Tensor:
        """What the block adds."""
        for norm, linear in zip(self.norms, self.linears, strict=True):
            h = linear(relu(norm(h)))
        return h

    def forward(self, h: Tensor) -> Tensor:
        return h + self.f(h) if self.skip else self.f(h)


def he_linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer with He's normal weights (row 35) and biases 0."""
    layer = nn.Linear(inputs, outputs)
    with torch.no_grad():
        layer.weight.copy_(he(outputs, inputs))
        layer.bias.zero_()
    return layer
