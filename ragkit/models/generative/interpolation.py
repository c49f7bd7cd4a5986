"""Interpolation: codes on the way from z to z', decoded. Row 123.

On the straight line, (1 - t) z + t z', or on the arc of the sphere, sin((1-t)ω)/sin ω z + sin(tω)/sin ω z',
ω the angle between them (Shoemake 1985). In many dimensions a normal prior lies close to a sphere of radius
√size, and the middle of the line far inside it, where hardly any code ever is (White 2016).
"""

import torch
from torch import Tensor
from torch.nn import functional


def interpolated(first: Tensor, last: Tensor, steps: int, *, spherical: bool = False) -> Tensor:
    """`steps` codes from `first` to `last`, both included: (size,) each to (steps, size)."""
    t = torch.linspace(0, 1, steps, dtype=first.dtype, device=first.device)[:, None]
    if not spherical:
        return torch.lerp(first.expand(steps, -1), last.expand(steps, -1), t)
    cosine = functional.cosine_similarity(first, last, dim=0).clamp(-1, 1)
    angle = cosine.arccos()
    if angle.sin().abs() < 1e-6:  # the same direction, or opposite ones, which no arc joins
        return interpolated(first, last, steps)
    return (((1 - t) * angle).sin() * first + (t * angle).sin() * last) / angle.sin()
