"""Multivariate normal: -log Pr = K/2 log 2π + log det L + ½ ‖L⁻¹(y - μ)‖², Σ = L Lᵀ. Row 19.

The network outputs the Cholesky factor L, lower triangular with a positive diagonal: any such L gives a
covariance that is positive definite, which K² free numbers would not.
"""

import math

import torch
from torch import Tensor

from ragkit.models.basics.likelihoods.likelihood import Parameters, RealLikelihood, normal_like, positive


class MultivariateNormal(RealLikelihood):
    """Outputs μ, the diagonal of L, and what lies below it row by row."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.event = (size,)
        self.outputs = size + size * (size + 1) // 2

    def link(self, output: Tensor) -> Parameters:
        mean, diagonal, below = output.split([self.size, self.size, self.outputs - 2 * self.size], dim=-1)
        factor = torch.diag_embed(positive(diagonal))
        rows, columns = torch.tril_indices(self.size, self.size, offset=-1, device=output.device)
        factor[..., rows, columns] = below
        return {"mean": mean, "factor": factor}

    def _nll(self, theta: Parameters, y: Tensor) -> Tensor:
        factor = theta["factor"]
        residual = (y - theta["mean"])[..., None]
        whitened = torch.linalg.solve_triangular(factor, residual, upper=False)[..., 0]
        log_det = factor.diagonal(dim1=-2, dim2=-1).log().sum(dim=-1)
        return self.size / 2 * math.log(2 * math.pi) + log_det + 0.5 * whitened.square().sum(dim=-1)

    def _mode(self, theta: Parameters) -> Tensor:
        return theta["mean"]

    def _sample(self, theta: Parameters, generator: torch.Generator | None) -> Tensor:
        noise = normal_like(theta["mean"], generator)
        return theta["mean"] + (theta["factor"] @ noise[..., None])[..., 0]
