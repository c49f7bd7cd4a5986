"""Normal: -log Pr = ½ log 2πσ² + (y - μ)² / 2σ². Rows 12, 13.

With σ fixed the loss is the squared error over 2σ², and a constant: least squares. With σ² an output of the
network too, as the notes suggest, each prediction says how sure it is (heteroscedastic regression).
"""

import math

import torch
from torch import Tensor

from ragkit.models.basics.likelihoods.likelihood import (
    Parameters,
    RealLikelihood,
    normal_like,
    positive,
)


class Normal(RealLikelihood):
    """Outputs μ; and a second number for σ where `sigma` does not fix it."""

    def __init__(self, sigma: float | None = None) -> None:
        self.sigma = sigma
        self.outputs = 1 if sigma else 2

    def link(self, output: Tensor) -> Parameters:
        mean = output[..., 0]
        return {
            "mean": mean,
            "sigma": torch.full_like(mean, self.sigma) if self.sigma else positive(output[..., 1]),
        }

    def _nll(self, theta: Parameters, y: Tensor) -> Tensor:
        return normal_nll(y, theta["mean"], theta["sigma"])

    def _mode(self, theta: Parameters) -> Tensor:
        return theta["mean"]

    def _sample(self, theta: Parameters, generator: torch.Generator | None) -> Tensor:
        return theta["mean"] + theta["sigma"] * normal_like(theta["sigma"], generator)


def normal_nll(y: Tensor, mean: Tensor, sigma: Tensor) -> Tensor:
    """½ log 2πσ² + (y - μ)² / 2σ²."""
    return 0.5 * math.log(2 * math.pi) + sigma.log() + 0.5 * ((y - mean) / sigma) ** 2
