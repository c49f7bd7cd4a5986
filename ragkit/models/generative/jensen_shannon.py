"""Jensen-Shannon divergence: JS(p, q) = ½ KL(p‖m) + ½ KL(q‖m), m = ½ (p + q). Row 117.

What a GAN's generator minimises against the best discriminator (row 114). Of distributions that do not
overlap it is log 2 however far apart they are, so that its gradient says nothing about where to go.
"""

import torch
from torch import Tensor


def jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    """In nats, (...,), of probabilities (..., outcomes); from 0, for equal ones, to log 2."""
    middle = (p + q) / 2
    return (_kl(p, middle) + _kl(q, middle)) / 2


def _kl(p: Tensor, q: Tensor) -> Tensor:
    """Σ p log p/q, where 0 log 0 is 0."""
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(dim=-1)
