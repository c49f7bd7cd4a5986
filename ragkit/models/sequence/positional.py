"""Positional encoding: PE(p, 2i) = sin(p / 10000^{2i/d}), PE(p, 2i+1) = cos(p / 10000^{2i/d})
(Vaswani et al. 2017, 3.5), or a learnt table. Row 90.

The notes add "positional encodings" without saying which. Without one, attention does not know order: a
permuted input gives the permuted output.
"""

import torch
from torch import Tensor, nn


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """(…, width) encodings of positions (…); PE(p + k) is a fixed rotation of PE(p).

    Raises:
        ValueError: if the width is odd.
    """
    if width % 2:
        raise ValueError(f"sines and cosines come in pairs: the width {width} is odd")
    rates = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64, device=positions.device) / width)
    angles = positions[..., None].double() * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)


class SinusoidalPositions(nn.Module):
    """Adds the sinusoids to (batch, tokens, width); `first` is the position of the first token."""

    def forward(self, x: Tensor, first: int = 0) -> Tensor:
        positions = torch.arange(first, first + x.shape[1], device=x.device)
        return x + sinusoids(positions, x.shape[2]).to(x.dtype)


class LearnedPositions(nn.Module):
    """Adds a learnt vector for each of `length` places to (batch, tokens, width).

    Raises:
        ValueError: on calling, if a token's place is beyond the table.
    """

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(length, width) * 0.02)

    def forward(self, x: Tensor, first: int = 0) -> Tensor:
        last = first + x.shape[1]
        if last > len(self.table):
            raise ValueError(f"{last} tokens, but there are {len(self.table)} positions")
        return x + self.table[first:last]
