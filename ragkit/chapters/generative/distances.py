"""Row 117: what JS and W say of two distributions as one is moved away."""

import math

import torch

from ragkit.models.generative.jensen_shannon import jensen_shannon
from ragkit.models.generative.wasserstein import wasserstein


def js_and_wasserstein() -> dict[str, float]:
    """Samples on [0, 1), moved by 1, 2, ... 8, and as histograms of unit cells, in float64; both distances
    once more by scipy, on samples of different size and on histograms that overlap."""
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import wasserstein_distance

    generator = torch.Generator().manual_seed(0)
    x = torch.rand(200, generator=generator, dtype=torch.float64)
    cells = torch.eye(9, dtype=torch.float64)
    flat = max(abs(float(jensen_shannon(cells[0], cells[shift])) - math.log(2)) for shift in range(1, 9))
    linear = max(abs(float(wasserstein(x, x + shift)) - shift) for shift in range(1, 9))
    y = torch.randn(333, generator=generator, dtype=torch.float64)
    p, q = torch.rand(2, 20, generator=generator, dtype=torch.float64).softmax(dim=-1)
    theirs = float(jensenshannon(p.numpy(), q.numpy())) ** 2
    return {
        "JS - log 2": flat,
        "W - shift": linear,
        "W - scipy's": abs(float(wasserstein(x, y)) - float(wasserstein_distance(x.numpy(), y.numpy()))),
        "JS - scipy's": abs(float(jensen_shannon(p, q)) - theirs),
        "JS of equals": float(jensen_shannon(p, p)),
    }
