"""Reparametrisation: z = μ + σ ⊙ ε, ε ~ N(0, I), so that ∇ E_z f(z) = E_ε ∇ f(μ + σ ⊙ ε). Row 122.

The draw no longer depends on μ and σ, and the gradient passes through z (Kingma and Welling 2014, section
2.4). Without it there still is the score-function estimate, ∇ E_z f(z) = E_z f(z) ∇ log q(z) (Williams 1992):
right in the mean for any f, even one without a gradient, and far noisier.
"""

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor


class DiagonalNormal(NamedTuple):
    """Independent normals: means and log σ², (..., size) each."""

    mean: Tensor
    log_variance: Tensor

    @classmethod
    def of(cls, output: Tensor) -> Self:
        """From what a network outputs, (..., 2 size): first the means, then log σ²."""
        return cls(*output.chunk(2, dim=-1))

    def sample(self, noise: Tensor | None = None) -> Tensor:
        """z = μ + σ ⊙ ε, (..., size), with gradients; `noise` ε is drawn if left out."""
        if noise is None:
            noise = torch.randn_like(self.mean)
        return self.mean + (self.log_variance / 2).exp() * noise

    def log_density(self, z: Tensor) -> Tensor:
        """log q(z), (...,), of points (..., size)."""
        squared = (z - self.mean).square() * (-self.log_variance).exp()
        return -0.5 * (squared + self.log_variance + math.log(2 * math.pi)).sum(dim=-1)


def score_function_surrogate(q: DiagonalNormal, z: Tensor, values: Tensor) -> Tensor:
    """A scalar whose gradient estimates ∇ E_q f by the score function: z (..., size) of q, f(z) (...,)."""
    return (values.detach() * q.log_density(z.detach())).mean()
