"""Affine quantisation: q = clamp(round(x / s) + z, low, high),  x ~ s (q - z). Row 148 (Jacob et al. 2018).

s is a step, z the integer that stands for 0 exactly. With z = 0 and low = -high it is symmetric, as weights
are kept (`int8_storage`, `int4_storage`); activations after a ReLU use only half of a symmetric range and
take z. Within the range the error is at most s / 2.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ragkit.errors import RagkitError


class Grid(NamedTuple):
    """The numbers that can be said: s (q - z) for q in low..high. `scale` and `zero` broadcast to x."""

    scale: Tensor
    zero: Tensor
    low: int
    high: int

    @property
    def least(self) -> Tensor:
        """The least number that the grid has."""
        return (self.low - self.zero) * self.scale

    @property
    def largest(self) -> Tensor:
        return (self.high - self.zero) * self.scale


def affine_grid(least: Tensor, largest: Tensor, bits: int = 8) -> Grid:
    """The unsigned grid of `bits` that covers [least, largest] and says 0 exactly.

    Raises:
        RagkitError: if a least number is above its largest.
    """
    if bool((least > largest).any()):
        raise RagkitError("a range whose least number is above its largest")
    least, largest = least.clamp_max(0), largest.clamp_min(0)
    high = 2**bits - 1
    scale = _or_one((largest - least) / high)
    return Grid(scale, (-least / scale).round(), 0, high)


def symmetric_grid(weight: Tensor, bits: int, dim: int | tuple[int, ...]) -> Grid:
    """z = 0 and the largest |w| along `dim` at the edge: q in -(2^(bits-1) - 1) .. 2^(bits-1) - 1."""
    high = 2 ** (bits - 1) - 1
    scale = _or_one(weight.detach().abs().amax(dim, keepdim=True) / high)
    return Grid(scale, torch.zeros_like(scale), -high, high)


def to_integers(x: Tensor, grid: Grid) -> Tensor:
    """q of each number, as int32."""
    return ((x / grid.scale).round() + grid.zero).clamp(grid.low, grid.high).to(torch.int32)


def from_integers(q: Tensor, grid: Grid) -> Tensor:
    """s (q - z)."""
    return (q - grid.zero) * grid.scale


def _or_one(scale: Tensor) -> Tensor:
    """A range that holds nothing but 0 is said by any step."""
    return torch.where(scale > 0, scale, torch.ones_like(scale))
