"""Convolution: h_i = β + Σ_j w_j x_{i+j-2} for three taps. Rows 46, 48.

In general, over channels c, with stride s, dilation d and padding p (row 47), in any number of dimensions:

    h_{o,i} = β_o + Σ_c Σ_t w_{o,c,t} x_{c, s i + d t - p}

The activation a[h] is applied outside. The notes call it shift *invariant*: it is equivariant, f[shift x] =
shift f[x]; only a global pool on top makes it invariant. What they and all libraries compute is the
cross-correlation: the convolution of mathematics runs through the kernel backwards.

Weights and biases: C_in k² C_out + C_out. The notes' 27 + 1 are those of one output channel (C_out = 1).
"""

from collections.abc import Sequence
from math import prod
from typing import Literal

import torch
from torch import Tensor, nn

from ragkit.errors import RagkitError
from ragkit.models.vision.windows import Padding, PerAxis, margins, output_size, padded, per_axis, taps


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    variant: Literal["standard", "notes"] = "standard",
) -> Tensor:
    """x (batch, channels in, *sizes) with weight (channels out, channels in, *kernel) to
    (batch, channels out, *sizes out). `variant` says what padding "valid" means.

    Raises:
        RagkitError: if the shapes do not fit each other, or the kernel not the input.
    """
    if x.ndim != weight.ndim or weight.ndim < 3 or x.shape[1] != weight.shape[1]:
        raise RagkitError(
            f"input {tuple(x.shape)} and weight {tuple(weight.shape)}: expected (batch, channels in, *sizes) "
            f"and (channels out, channels in, *kernel)"
        )
    kernel, axes = weight.shape[2:], weight.ndim - 2
    stride, dilation = per_axis(stride, axes, "stride"), per_axis(dilation, axes, "dilation")
    x = padded(x, margins(padding, kernel, stride, dilation, variant))
    geometry = zip(x.shape[2:], kernel, stride, dilation, strict=True)
    sizes = [output_size(n, k, stride=s, dilation=d) for n, k, s, d in geometry]
    h = x.new_zeros(len(x), len(weight), *sizes)
    if bias is not None:
        h = h + bias.view(-1, *[1] * axes)
    for tap, places in taps(kernel, sizes, stride, dilation):
        h = h + torch.einsum("oc,nc...->no...", weight[tap], x[places])
    return h


class Convolution(nn.Module):
    """`weight` (channels out, channels in, *kernel), He's normal (row 35), and `bias`, which begins at 0."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: Sequence[int],
        *,
        stride: PerAxis = 1,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        variant: Literal["standard", "notes"] = "standard",
    ) -> None:
        super().__init__()
        self.stride, self.padding, self.dilation, self.variant = stride, padding, dilation, variant
        shape = (channels_out, channels_in, *per_axis(kernel, len(kernel), "kernel"))
        self.weight = nn.Parameter(torch.randn(shape) * (2 / prod(shape[1:])) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(channels_out))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels in, *sizes) to (batch, channels out, *sizes out)."""
        return convolve(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            variant=self.variant,
        )


def parameter_count(channels_in: int, channels_out: int, kernel: Sequence[int]) -> int:
    """Weights and biases of a convolution."""
    return channels_in * prod(kernel) * channels_out + channels_out
