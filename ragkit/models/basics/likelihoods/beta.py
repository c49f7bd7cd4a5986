"""Beta, for proportions: -log Pr = log B(α, β) - (α-1) log y - (β-1) log(1-y). Row 18.

The notes give the closed domain [0, 1], but at its ends the density may be 0 or infinite, and the loss with
it: labels are squeezed into [ε, 1 - ε].
"""

import torch
from torch import Tensor

from ragkit.models.basics.likelihoods.likelihood import Likelihood, Parameters, gamma_like, positive

EDGE = 1e-6


class Beta(Likelihood):
    """Outputs α and β."""

    domain = "proportions from 0 to 1"
    outputs = 2

    def link(self, output: Tensor) -> Parameters:
        return {"alpha": positive(output[..., 0]), "beta": positive(output[..., 1])}

    def _contains(self, y: Tensor) -> Tensor:
        return (y >= 0) & (y <= 1)

    def _nll(self, theta: Parameters, y: Tensor) -> Tensor:
        alpha, beta = theta["alpha"], theta["beta"]
        y = y.clamp(EDGE, 1 - EDGE)
        log_b = torch.lgamma(alpha) + torch.lgamma(beta) - torch.lgamma(alpha + beta)
        return log_b - (alpha - 1) * y.log() - (beta - 1) * torch.log1p(-y)

    def _mode(self, theta: Parameters) -> Tensor:
        """(α-1)/(α+β-2) where both exceed 1; else the end of [0, 1] with the higher density, ½ if both do."""
        alpha, beta = theta["alpha"], theta["beta"]
        inside = (alpha - 1) / (alpha + beta - 2)
        end = torch.where(alpha == beta, 0.5, (alpha > beta).to(alpha.dtype))
        return torch.where((alpha > 1) & (beta > 1), inside, end)

    def _sample(self, theta: Parameters, generator: torch.Generator | None) -> Tensor:
        a, b = gamma_like(theta["alpha"], generator), gamma_like(theta["beta"], generator)
        return a / (a + b)
