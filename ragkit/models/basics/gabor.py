"""Gabor model: f[x, φ] = sin(φ_0 + 0.06 φ_1 x) exp(-(φ_0 + 0.06 φ_1 x)² / 32). Rows 27, 28.

The notes show its loss surface as an example of a landscape with many minima, without the formula; this is
the one of Prince, Understanding Deep Learning, eq. 6.8. Two parameters: φ_0 shifts the wave, φ_1 stretches
it.
"""

import torch
from torch import Tensor

TRUE = (0.0, 16.6)
"""The parameters that the data come from; the loss has its lowest minimum near them."""


def gabor(x: Tensor, phi: Tensor) -> Tensor:
    """Parameters (..., 2) and inputs (items,) to the outputs (..., items)."""
    z = phi[..., :1] + 0.06 * phi[..., 1:] * x
    return z.sin() * torch.exp(-(z**2) / 32)


def gabor_losses(x: Tensor, y: Tensor, phi: Tensor) -> Tensor:
    """The squared error of each item, (..., items)."""
    return (gabor(x, phi) - y) ** 2


def gabor_data(items: int = 28, noise: float = 0.1, seed: int = 0) -> tuple[Tensor, Tensor]:
    """x uniform in [-15, 15] and y = f[x, TRUE] with normal noise, in float64."""
    generator = torch.Generator().manual_seed(seed)
    x = 30 * torch.rand(items, generator=generator, dtype=torch.float64) - 15
    y = gabor(x, torch.tensor(TRUE, dtype=torch.float64))
    return x, y + noise * torch.randn(items, generator=generator, dtype=torch.float64)


def starting_grid(side: int = 9) -> Tensor:
    """(side², 2) starts: φ_0 from -10 to 10, φ_1 from 2.5 to 22.5."""
    shift = torch.linspace(-10, 10, side, dtype=torch.float64)
    stretch = torch.linspace(2.5, 22.5, side, dtype=torch.float64)
    return torch.cartesian_prod(shift, stretch)
