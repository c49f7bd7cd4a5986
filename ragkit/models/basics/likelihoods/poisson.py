"""Poisson, for counts: -log Pr = λ - y log λ + log y!. Row 23.

log y! is exact (log Γ(y+1)); torch's PoissonNLLLoss leaves it out or takes Stirling's formula, off by .041
at y = 2.
"""

import torch
from torch import Tensor

from ragkit.models.basics.likelihoods.likelihood import Likelihood, Parameters, positive


class Poisson(Likelihood):
    """Outputs a number for the rate λ; the mode is ⌊λ⌋."""

    domain = "counts 0, 1, 2, ..."
    outputs = 1

    def link(self, output: Tensor) -> Parameters:
        return {"rate": positive(output[..., 0])}

    def _contains(self, y: Tensor) -> Tensor:
        return (y >= 0) & (y == y.round())

    def _nll(self, theta: Parameters, y: Tensor) -> Tensor:
        return theta["rate"] - y * theta["rate"].log() + torch.lgamma(y + 1.0)

    def _mode(self, theta: Parameters) -> Tensor:
        return theta["rate"].floor()

    def _sample(self, theta: Parameters, generator: torch.Generator | None) -> Tensor:
        return torch.poisson(theta["rate"], generator=generator)
