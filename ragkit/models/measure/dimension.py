"""The curse of dimensionality: (max - min) / min of the distances falls with the dimension. Row 41.

Of points drawn evenly from a cube of d dimensions all become equally far, so that "nearest" loses its meaning
(Beyer et al. 1999). Data are no such cube: the notes' manifold has an intrinsic dimension, which TwoNN reads
from the ratio of the two nearest distances, μ = r₂/r₁, P(μ ≤ m) = 1 - m^-d (Facco et al. 2017).
"""

import torch
from torch import Tensor

from ragkit.errors import RagkitError


def contrast(points: Tensor, queries: Tensor) -> float:
    """(max - min) / min of the distances from each query (queries, d) to the points (points, d), on
    average."""
    distances = torch.cdist(queries, points)
    nearest, farthest = distances.min(dim=1).values, distances.max(dim=1).values
    return float(((farthest - nearest) / nearest).mean())


def intrinsic_dimension(points: Tensor, left_out: float = 0.1) -> float:
    """TwoNN of points (points, d): the slope through 0 of -log(1 - F(μ)) over log μ.

    The `left_out` largest ratios, which noise and borders govern, are not looked at, as in the paper.

    Raises:
        RagkitError: with fewer than 10 points that differ.
    """
    points = torch.unique(points.double(), dim=0)
    if len(points) < 10:
        raise RagkitError(f"{len(points)} different points: at least 10 are needed to tell a dimension")
    distances = torch.cdist(points, points).fill_diagonal_(torch.inf)
    first, second = distances.topk(2, largest=False).values.unbind(dim=1)
    ratios = (second / first).log().sort().values
    kept = round((1 - left_out) * len(ratios))
    log_ratio = ratios[:kept]
    below = torch.arange(1, kept + 1, dtype=torch.float64) / len(ratios)
    return float(-(torch.log1p(-below) * log_ratio).sum() / log_ratio.square().sum())
