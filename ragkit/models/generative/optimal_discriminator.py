"""The best discriminator: D*(x) = p(x) / (p(x) + q(x)), where V = 2 JS(p, q) - log 4. Row 114.

Goodfellow et al. 2014, proposition 1 and theorem 1: for p = q it is ½ everywhere and V = -log 4, the least
that a generator can leave it. A discriminator trained to the end is thus an estimate of p/q.
"""

import torch
from torch import Tensor


def optimal_discriminator(log_p: Tensor, log_q: Tensor) -> Tensor:
    """D* from the log densities of data and generator at the same points, any shape."""
    return torch.sigmoid(log_p - log_q)
