"""Weights stored as int8 with one scale for each output channel. Row 148.

    w_oi ~ s_o q_oi,   s_o = max_i |w_oi| / 127,   q_oi = round(w_oi / s_o)

(symmetric per-channel weight quantisation, Jacob et al. 2018; Krishnamoorthi 2018). The scale is kept in
float16, rounded up, so that |q| never exceeds 127 and the error never exceeds s_o / 2. A quarter of the
size of float32 on disk; in memory the model is float32 again.
"""

import torch
from torch import Tensor

HIGH = 127


def quantise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """int8 values of the weight's shape, and float16 scales of its first dimension, (channels,).

    Raises:
        ValueError: if the weight has fewer than 2 dimensions, is not finite, or is too large for float16.
    """
    if weight.ndim < 2:
        raise ValueError("only weights of at least 2 dimensions have channels")
    rows = weight.detach().float().flatten(1)
    scale = float16_above(rows.abs().amax(1) / HIGH)
    # A channel of zeros has the scale 0: any divisor gives its zeros.
    steps = torch.where(scale > 0, scale, torch.ones_like(scale)).float()
    return (rows / steps[:, None]).round().clamp(-HIGH, HIGH).to(torch.int8).view_as(weight), scale


def dequantise(values: Tensor, scale: Tensor) -> Tensor:
    """The float32 weight: values (channels, ...) times scale (channels,)."""
    return values.float() * scale.float().view(-1, *[1] * (values.ndim - 1))


def float16_above(exact: Tensor) -> Tensor:
    """The least float16 numbers that are not below: so that no quotient leaves the range.

    Raises:
        ValueError: if there are none.
    """
    scale = exact.to(torch.float16)
    infinity = torch.full_like(scale, torch.inf)
    scale = torch.where(scale.float() < exact, torch.nextafter(scale, infinity), scale)
    if not torch.isfinite(scale).all():
        raise ValueError("the weight is not finite or too large for a float16 scale")
    return scale
