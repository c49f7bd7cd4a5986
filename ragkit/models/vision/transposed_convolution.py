"""Transposed convolution: h_{s i + d t - p} ← h + Σ_c w_{c,t} x_{c,i}, from each input. Row 52.

    size out = (n - 1) s - 2p + d(k-1) + 1

As a matrix, a convolution A turns inputs into fewer outputs; this is Aᵀ, hence <A x, y> = <x, Aᵀ y>. It is
the convolution's *transpose*, which has its shape, not its inverse: "deconvolution" promises too much. What
the notes say in words, several outputs from one input and several inputs to one output, is the loop below:
a convolution gathers at each tap, this scatters there.

Where k is no multiple of s, outputs are reached by unequal numbers of inputs, which shows as a chequerboard
(Odena et al. 2016).
"""

import torch
from torch import Tensor

from ragkit.errors import RagkitError
from ragkit.models.vision.windows import PerAxis, per_axis, taps


def convolve_transposed(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
    extra: PerAxis = 0,
) -> Tensor:
    """x (batch, channels in, *sizes) with weight (channels in, channels out, *kernel) to
    (batch, channels out, *sizes out).

    Args:
        padding: how many outputs are cut off at each side.
        extra: how many the far side has more, below the stride or the dilation: a convolution of stride s
            takes s sizes to the same one, and this says which of them is meant.

    Raises:
        RagkitError: if the shapes do not fit each other, or the padding cuts off everything.
    """
    if x.ndim != weight.ndim or weight.ndim < 3 or x.shape[1] != weight.shape[0]:
        raise RagkitError(
            f"input {tuple(x.shape)} and weight {tuple(weight.shape)}: expected (batch, channels in, *sizes) "
            f"and (channels in, channels out, *kernel)"
        )
    kernel, sizes, axes = weight.shape[2:], x.shape[2:], weight.ndim - 2
    stride, dilation = per_axis(stride, axes, "stride"), per_axis(dilation, axes, "dilation")
    padding, extra = per_axis(padding, axes, "padding", 0), per_axis(extra, axes, "extra", 0)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise RagkitError(f"extra {extra}: expected less than the stride {stride} or the dilation {dilation}")
    geometry = list(zip(sizes, kernel, stride, dilation, padding, extra, strict=True))
    full = [(n - 1) * s + d * (k - 1) + 1 + e for n, k, s, d, _, e in geometry]
    if any(size <= 2 * p for size, p in zip(full, padding, strict=True)):
        raise RagkitError(f"padding {padding} cuts off all of {full} outputs: expected less than half")
    h = x.new_zeros(len(x), weight.shape[1], *full)
    for tap, places in taps(kernel, sizes, stride, dilation):
        h[places] += torch.einsum("io,ni...->no...", weight[tap], x)
    for axis, p in enumerate(padding, 2):
        h = h.narrow(axis, p, h.shape[axis] - 2 * p)
    return h if bias is None else h + bias.view(-1, *[1] * axes)
