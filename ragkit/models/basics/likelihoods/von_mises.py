"""von Mises, for directions in (-π, π]: -log Pr = -κ cos(y - μ) + log 2π I_0(κ). Row 20.

I_0 overflows from κ = 714 on; I_0(κ) e^-κ does not, so the loss is computed as κ(1 - cos(y - μ)) + log 2π
I_0(κ)e^-κ.
"""

import math

import torch
from torch import Tensor

from ragkit.models.basics.likelihoods.likelihood import Parameters, RealLikelihood, positive, uniform_like


class VonMises(RealLikelihood):
    """Outputs the sine and cosine of μ, up to a common factor, and a number for κ.

    μ = atan2(sine, cosine) has no jump at ±π that a network would have to learn. Labels are angles in
    radians; whole turns make no difference.
    """

    outputs = 3

    def link(self, output: Tensor) -> Parameters:
        return {
            "direction": torch.atan2(output[..., 0], output[..., 1]),
            "concentration": positive(output[..., 2]),
        }

    def _nll(self, theta: Parameters, y: Tensor) -> Tensor:
        kappa = theta["concentration"]
        turned = 1 - torch.cos(y - theta["direction"])
        return kappa * turned + math.log(2 * math.pi) + torch.special.i0e(kappa).log()

    def _mode(self, theta: Parameters) -> Tensor:
        return theta["direction"]

    def _sample(self, theta: Parameters, generator: torch.Generator | None) -> Tensor:
        """Rejection from a wrapped Cauchy (Best and Fisher 1979): two of three proposals or more are kept."""
        kappa = theta["concentration"]
        tau = 1 + (1 + 4 * kappa**2).sqrt()
        rho = (tau - (2 * tau).sqrt()) / (2 * kappa)
        # For small κ, τ - √2τ cancels: there ρ is κ/2 to first order, and r = (1 + ρ²)/2ρ follows.
        rho = torch.where(kappa < 1e-4, kappa / 2, rho)
        r = (1 + rho**2) / (2 * rho)
        angle = torch.zeros_like(kappa)
        waiting = torch.ones_like(kappa, dtype=torch.bool)
        while waiting.any():
            z = torch.cos(math.pi * uniform_like(kappa, generator))
            f = (1 + r * z) / (r + z)
            c = kappa * (r - f)
            u = uniform_like(kappa, generator)
            side = (uniform_like(kappa, generator) - 0.5).sign()
            kept = waiting & ((c * (2 - c) > u) | ((c / u).log() + 1 >= c))
            angle = torch.where(kept, side * f.clamp(-1, 1).acos(), angle)
            waiting &= ~kept
        turned = theta["direction"] + angle
        return torch.atan2(turned.sin(), turned.cos())
