"""Downsampling: sub-sample h_i = x_{si}, max h_i = max_t x_{si+t}, average h_i = 1/k Σ_t x_{si+t}. Row 50.

t runs over the window of output i, the notes' quadrant. Each channel is treated on its own.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ragkit.errors import RagkitError
from ragkit.models.vision.windows import PerAxis, output_size, per_axis, taps


class MaxPool(NamedTuple):
    values: Tensor
    """(batch, channels, *sizes out)."""
    places: Tensor
    """Where each value stood: its number among the inputs of its channel, counted row by row."""


def sub_sample(x: Tensor, stride: PerAxis = 2) -> Tensor:
    """x (batch, channels, *sizes): the first element of each quadrant."""
    for axis, step in enumerate(per_axis(stride, _axes(x), "stride"), 2):
        x = x.index_select(axis, torch.arange(0, x.shape[axis], step, device=x.device))
    return x


def max_pool(x: Tensor, size: PerAxis = 2, stride: PerAxis | None = None) -> MaxPool:
    """x (batch, channels, *sizes): the largest element of each window, and where it stood. Of equal ones the
    first counts, and gets the gradient. The stride is the window's size unless given.

    Raises:
        RagkitError: if the window does not fit.
    """
    numbers = torch.arange(x[0, 0].numel(), device=x.device).view(1, 1, *x.shape[2:])
    windows, numbered = _windows(x, size, stride), _windows(numbers, size, stride)
    values, tap = windows.max(dim=-1)
    return MaxPool(values, numbered.expand_as(windows).gather(-1, tap[..., None])[..., 0])


def average_pool(x: Tensor, size: PerAxis = 2, stride: PerAxis | None = None) -> Tensor:
    """x (batch, channels, *sizes): the mean of each window.

    Raises:
        RagkitError: if the window does not fit.
    """
    return _windows(x, size, stride).mean(dim=-1)


def _windows(x: Tensor, size: PerAxis, stride: PerAxis | None) -> Tensor:
    """(batch, channels, *sizes out, elements of the window)."""
    axes = _axes(x)
    kernel = per_axis(size, axes, "window")
    steps: Sequence[int] = kernel if stride is None else per_axis(stride, axes, "stride")
    geometry = zip(x.shape[2:], kernel, steps, strict=True)
    sizes = [output_size(n, k, stride=s) for n, k, s in geometry]
    return torch.stack([x[places] for _, places in taps(kernel, sizes, steps, [1] * axes)], dim=-1)


def _axes(x: Tensor) -> int:
    if x.ndim < 3 or 0 in x.shape:
        raise RagkitError(f"input {tuple(x.shape)}: expected (batch, channels, *sizes), none of them 0")
    return x.ndim - 2
