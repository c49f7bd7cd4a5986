"""Wasserstein distance: W(p, q) = inf over joints with margins p, q of E|x - y|. Row 117.

The mean distance that the mass of one must travel to become the other; for numbers it is the area between the
distribution functions, ∫ |F(t) - G(t)| dt. Unlike JS it grows with the distance of what does not overlap. By
the Kantorovich-Rubinstein duality it also is max E_p f - E_q f over the 1-Lipschitz f (row 118).
"""

import torch
from torch import Tensor


def wasserstein(x: Tensor, y: Tensor) -> Tensor:
    """Of two samples of numbers, (n,) and (m,), each number of equal weight: a scalar."""
    points = torch.cat([x, y]).sort().values
    below_x, below_y = (
        torch.searchsorted(sample.sort().values, points[:-1], right=True).to(points.dtype) / len(sample)
        for sample in (x, y)
    )
    return ((below_x - below_y).abs() * points.diff()).sum()
