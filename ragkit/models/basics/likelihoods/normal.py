"""Normal: -log Pr = ½ log 2πσ² + (y - μ)² / 2σ². Rows 12, 13.

With σ fixed the loss is the squared error over 2σ², and a constant: least squares. With σ² an output of the
network too, as the notes suggest, each prediction says how sure it is (heteroscedastic regression).
"""

import math

import torch
from torch import Tensor

from ragkit.errors import RagkitError
from ragkit.models.basics.likelihoods.likelihood import (
    Parameters,
    RealLikelihood,
    normal_like,
    positive,
)


class Normal(RealLikelihood):
    """Outputs μ; and a second number for σ where `sigma` does not fix it.

    Raises:
        RagkitError: if the fixed σ is not positive.
    """

    def __init__(self, sigma: float | None = None) -> None:
        if sigma is not None and not sigma > 0:
            raise RagkitError(f"a normal with σ = {sigma}: it must be above 0")
        self.sigma = sigma
        self.outputs = 2 if sigma is None else 1

    def link(self, output: Tensor) -> Parameters:
        mean = output[..., 0]
        sigma = positive(output[..., 1]) if self.sigma is None else torch.full_like(mean, self.sigma)
        return {"mean": mean, "sigma": sigma}

    def _nll(self, theta: Parameters, y: Tensor) -> Tensor:
        return normal_nll(y, theta["mean"], theta["sigma"])

    def _mode(self, theta: Parameters) -> Tensor:
        return theta["mean"]

    def _sample(self, theta: Parameters, generator: torch.Generator | None) -> Tensor:
        return theta["mean"] + theta["sigma"] * normal_like(theta["sigma"], generator)


def normal_nll(y: Tensor, mean: Tensor, sigma: Tensor) -> Tensor:
    """½ log 2πσ² + (y - μ)² / 2σ²."""
    return 0.5 * math.log(2 * math.pi) + sigma.log() + 0.5 * ((y - mean) / sigma) ** 2
