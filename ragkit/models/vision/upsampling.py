"""Upsampling: duplicate, max-unpool, bilinear. Row 51.

    duplicate     h_i = x_⌊i/M⌋
    max-unpool    h_{place(i)} = x_i, zero elsewhere, where place(i) is where the maximum stood when pooled
    bilinear      h_i = (1-λ) x_j + λ x_{j+1},   j + λ = (i + ½)/M - ½ cut to [0, n-1], axis by axis

The notes' max-unpooling surrounds each element with zeros and does not say where in its quadrant it goes back
to; what a max pool remembers is the place. `variant="notes"` puts it first. Their bilinear sets *between* the
pixels "values equal to the average of the surrounding" ones; the standard form weighs by distance, 3/4 and
1/4 for M = 2, since no new pixel's centre lies on an old one's. `variant="notes"` makes M (n-1) + 1 of n.
"""

from collections.abc import Sequence
from math import prod
from typing import Literal

import torch
from torch import Tensor

from ragkit.errors import RagkitError

Variant = Literal["standard", "notes"]


def duplicate(x: Tensor, factor: int = 2) -> Tensor:
    """x (batch, channels, *sizes), each element `factor` times along each axis."""
    _check(x, factor)
    for axis in range(2, x.ndim):
        x = x.repeat_interleave(factor, dim=axis)
    return x


def max_unpool(x: Tensor, places: Tensor, sizes: Sequence[int], variant: Variant = "standard") -> Tensor:
    """x (batch, channels, *sizes in) back to `sizes`, with the `places` that `max_pool` gave.

    Raises:
        RagkitError: if the places are not x's, or lie outside `sizes`.
    """
    _check(x, 1)
    if places.shape != x.shape or len(sizes) != x.ndim - 2:
        raise RagkitError(
            f"places {tuple(places.shape)} and sizes {tuple(sizes)} for values {tuple(x.shape)}: "
            f"expected a place for each value and {x.ndim - 2} sizes"
        )
    if variant == "notes":
        return _bed_of_nails(x, sizes)
    if places.max() >= prod(sizes) or places.min() < 0:
        raise RagkitError(
            f"places up to {int(places.max())}: expected 0 to {prod(sizes) - 1}, of {tuple(sizes)}"
        )
    flat = x.new_zeros(*x.shape[:2], prod(sizes))
    return flat.scatter(-1, places.flatten(2), x.flatten(2)).view(*x.shape[:2], *sizes)


def bilinear(x: Tensor, factor: int = 2, variant: Variant = "standard") -> Tensor:
    """x (batch, channels, *sizes) with `factor` times the sizes; linear along each axis, of which there may
    be one or three as well."""
    _check(x, factor)
    for axis in range(2, x.ndim):
        weights = _weights(x.shape[axis], factor, variant).to(x)
        x = torch.tensordot(x, weights, dims=([axis], [1])).movedim(-1, axis)
    return x


def _weights(size: int, factor: int, variant: Variant) -> Tensor:
    """What each output takes from each input: (outputs, size)."""
    if variant == "notes":
        at = torch.arange(factor * (size - 1) + 1, dtype=torch.float64) / factor
    else:
        at = ((torch.arange(factor * size, dtype=torch.float64) + 0.5) / factor - 0.5).clamp(0, size - 1)
    distance = (at[:, None] - torch.arange(size)).abs()
    return (1 - distance).clamp(min=0)


def _bed_of_nails(x: Tensor, sizes: Sequence[int]) -> Tensor:
    if any(size % n for size, n in zip(sizes, x.shape[2:], strict=True)):
        raise RagkitError(f"sizes {tuple(sizes)}: expected multiples of {tuple(x.shape[2:])}")
    for axis, size in enumerate(sizes, 2):
        n = x.shape[axis]
        spread = x.new_zeros(*x.shape[:axis], size, *x.shape[axis + 1 :])
        x = spread.index_copy(axis, torch.arange(0, size, size // n, device=x.device), x)
    return x


def _check(x: Tensor, factor: int) -> None:
    if x.ndim < 3 or 0 in x.shape:
        raise RagkitError(f"input {tuple(x.shape)}: expected (batch, channels, *sizes), none of them 0")
    if factor < 1:
        raise RagkitError(f"factor {factor}: expected 1 or more")
