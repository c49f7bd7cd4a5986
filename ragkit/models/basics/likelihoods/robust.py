"""Heavy tails for robust regression. Rows 14, 15.

    Laplace:   -log Pr = log 2b + |y - μ| / b
    Student t: -log Pr = -log Γ((ν+1)/2) + log Γ(ν/2) + ½ log νπσ² + (ν+1)/2 · log(1 + (y - μ)² / νσ²)

An outlier at distance d costs d²/2σ² under a normal, but only d/b under a Laplace and (ν+1) log d under a
t: it pulls the fit less. The t becomes the normal as ν grows.
"""

import math

import torch
from torch import Tensor

from ragkit.models.basics.likelihoods.likelihood import (
    Parameters,
    RealLikelihood,
    gamma_like,
    normal_like,
    positive,
    uniform_like,
)


class Laplace(RealLikelihood):
    """Outputs μ and the scale b; its mean absolute deviation is b."""

    outputs = 2

    def link(self, output: Tensor) -> Parameters:
        return {"mean": output[..., 0], "scale": positive(output[..., 1])}

    def _nll(self, theta: Parameters, y: Tensor) -> Tensor:
        return (2 * theta["scale"]).log() + (y - theta["mean"]).abs() / theta["scale"]

    def _mode(self, theta: Parameters) -> Tensor:
        return theta["mean"]

    def _sample(self, theta: Parameters, generator: torch.Generator | None) -> Tensor:
        u = uniform_like(theta["scale"], generator) - 0.5
        return theta["mean"] - theta["scale"] * u.sign() * torch.log1p(-2 * u.abs())


class StudentT(RealLikelihood):
    """Outputs μ, the scale σ and the degrees of freedom ν, all three learnt."""

    outputs = 3

    def link(self, output: Tensor) -> Parameters:
        return {
            "mean": output[..., 0],
            "scale": positive(output[..., 1]),
            "freedom": positive(output[..., 2]),
        }

    def _nll(self, theta: Parameters, y: Tensor) -> Tensor:
        nu, scale = theta["freedom"], theta["scale"]
        squared = ((y - theta["mean"]) / scale) ** 2
        constant = torch.lgamma(nu / 2) - torch.lgamma((nu + 1) / 2) + 0.5 * (math.pi * nu).log()
        return constant + scale.log() + (nu + 1) / 2 * torch.log1p(squared / nu)

    def _mode(self, theta: Parameters) -> Tensor:
        return theta["mean"]

    def _sample(self, theta: Parameters, generator: torch.Generator | None) -> Tensor:
        # A normal over the root of a chi-squared by its degrees of freedom; χ²_ν is 2 Gamma(ν/2, 1).
        chi2 = 2 * gamma_like(theta["freedom"] / 2, generator)
        normal = normal_like(theta["mean"], generator)
        return theta["mean"] + theta["scale"] * normal * (theta["freedom"] / chi2).sqrt()
