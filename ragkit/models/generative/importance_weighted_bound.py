"""Importance-weighted bound: log p(x) >= E log 1/K Σ_k p(x|z_k) p(z_k) / q(z_k|x), z_k ~ q(z|x). Row 121.

Burda et al. 2016, equation 8: the ELBO at K = 1, never lower for a larger K, and log p(x) in the limit.
"""

import math

import torch
from torch import Tensor

from ragkit.models.generative.reparametrisation import DiagonalNormal
from ragkit.models.generative.vae import Vae


def importance_weighted_bound(vae: Vae, x: Tensor, samples: int) -> Tensor:
    """The bound of each item, (batch,), in nats, from K = `samples` draws."""
    q = vae.posterior(x)
    q = DiagonalNormal(*(part.expand(samples, *part.shape) for part in q))
    z = q.sample()
    prior = DiagonalNormal(torch.zeros_like(z), torch.zeros_like(z))
    weights = vae.log_likelihood(x, z) + prior.log_density(z) - q.log_density(z)
    return weights.logsumexp(dim=0) - math.log(samples)
