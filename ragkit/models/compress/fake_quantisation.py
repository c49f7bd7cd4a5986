"""Fake quantisation with a straight-through gradient: rounding that can be trained through. Row 150.

    forward:  x̂ = s (clamp(round(x / s) + z, low, high) - z)
    backward: ∂x̂/∂x = 1 where low <= round(x / s) + z <= high, else 0

round() has the gradient 0 almost everywhere: trained through it nothing would move. The notes have no more
than "floating point during training, integers during inference"; the estimator is Bengio et al. 2013's.
"""

from typing import Any

import torch
from torch import Tensor

from ragkit.models.compress.affine import Grid


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, zero: Tensor, low: int, high: int) -> Tensor:
        q = (x / scale).round() + zero
        ctx.save_for_backward((q >= low) & (q <= high))
        return (q.clamp(low, high) - zero) * scale

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (inside,) = ctx.saved_tensors
        return gradients[0] * inside, None, None, None, None


def fake_quantise(x: Tensor, grid: Grid) -> Tensor:
    """x̂ of x's shape and type; the grid has no gradient."""
    found: Tensor = _StraightThrough.apply(x, grid.scale, grid.zero, grid.low, grid.high)
    return found
