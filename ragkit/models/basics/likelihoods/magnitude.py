"""Exponential and gamma, for magnitudes. Row 17.

Exponential: -log Pr = λy - log λ
Gamma:       -log Pr = log Γ(α) - α log β - (α-1) log y + βy        the exponential is α = 1
"""

from abc import ABC

import torch
from torch import Tensor

from ragkit.models.basics.likelihoods.likelihood import (
    Likelihood,
    Parameters,
    gamma_like,
    positive,
    uniform_like,
)


class PositiveLikelihood(Likelihood, ABC):
    domain = "numbers above 0"

    def _contains(self, y: Tensor) -> Tensor:
        return y > 0


class Exponential(PositiveLikelihood):
    """Outputs the rate λ. The mode is 0, the end of the domain."""

    outputs = 1

    def link(self, output: Tensor) -> Parameters:
        return {"rate": positive(output[..., 0])}

    def _nll(self, theta: Parameters, y: Tensor) -> Tensor:
        return theta["rate"] * y - theta["rate"].log()

    def _mode(self, theta: Parameters) -> Tensor:
        return torch.zeros_like(theta["rate"])

    def _sample(self, theta: Parameters, generator: torch.Generator | None) -> Tensor:
        return -uniform_like(theta["rate"], generator).log() / theta["rate"]


class Gamma(PositiveLikelihood):
    """Outputs the shape α and the rate β; the mode is (α-1)/β, or 0 for α <= 1."""

    outputs = 2

    def link(self, output: Tensor) -> Parameters:
        return {"shape": positive(output[..., 0]), "rate": positive(output[..., 1])}

    def _nll(self, theta: Parameters, y: Tensor) -> Tensor:
        shape, rate = theta["shape"], theta["rate"]
        return torch.lgamma(shape) - shape * rate.log() - (shape - 1) * y.log() + rate * y

    def _mode(self, theta: Parameters) -> Tensor:
        return (theta["shape"] - 1).clamp(min=0) / theta["rate"]

    def _sample(self, theta: Parameters, generator: torch.Generator | None) -> Tensor:
        return gamma_like(theta["shape"], generator) / theta["rate"]
