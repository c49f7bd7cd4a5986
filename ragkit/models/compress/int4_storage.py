"""Weights stored in 4 bits, a scale for each group of g weights of a row. Row 149.

    w_oi ~ s_ok q_oi,  k = ⌊i / g⌋,   s_ok = max_{i in k} |w_oi| / 7,   q_oi = round(w_oi / s_ok) in -7..7

Two weights share a byte, q + 8 each, the first in its low half. With g = 32 and float16 scales that is
4.5 bits a weight, an eighth of float32's plus the scales. One scale for a whole row loses several times
as much: one large weight coarsens all others (Dettmers et al. 2022).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ragkit.models.compress.int8_storage import float16_above

GROUP = 32
HIGH = 7
_OFFSET = 8


class Int4(NamedTuple):
    """`packed` uint8 (rows, columns / 2), `scale` float16 (rows, columns / group)."""

    packed: Tensor
    scale: Tensor

    @property
    def bytes(self) -> int:
        return self.packed.numel() + 2 * self.scale.numel()


def fits(weight: Tensor, group: int = GROUP) -> bool:
    """Whether the weight is a matrix whose rows are whole groups."""
    return weight.ndim == 2 and weight.shape[1] > 0 and weight.shape[1] % group == 0


def quantise(weight: Tensor, group: int = GROUP) -> Int4:
    """Of a matrix, (rows, columns).

    Raises:
        ValueError: if it does not fit, the group is odd, or the weight is not finite or too large for
            float16.
    """
    if group % 2 or not fits(weight, group):
        raise ValueError(
            f"int4 needs a matrix whose columns are groups of {group}, not {tuple(weight.shape)}"
        )
    parts = weight.detach().float().unflatten(1, (-1, group))
    scale = float16_above(parts.abs().amax(2) / HIGH)
    steps = torch.where(scale > 0, scale, torch.ones_like(scale)).float()
    values = (parts / steps[..., None]).round().clamp(-HIGH, HIGH).to(torch.int16) + _OFFSET
    low, high = values.flatten(1).unflatten(1, (-1, 2)).unbind(2)
    return Int4((low | high << 4).to(torch.uint8), scale)


def dequantise(stored: Int4) -> Tensor:
    """The float32 matrix, (rows, columns)."""
    packed, scale = stored
    values = torch.stack([packed & 15, packed >> 4], dim=2).flatten(1).float() - _OFFSET
    return (values.unflatten(1, (scale.shape[1], -1)) * scale.float()[..., None]).flatten(1)
