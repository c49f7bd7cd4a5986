"""Mixture of Gaussians: -log Pr = -log Σ_k λ_k N(y; μ_k, σ_k²), by log-sum-exp. Row 16.

For regression with several right answers (Bishop 1994): one normal would put its mean between them.
"""

import torch
from torch import Tensor

from ragkit.models.basics.likelihoods.likelihood import Parameters, RealLikelihood, normal_like, positive
from ragkit.models.basics.likelihoods.normal import normal_nll


class MixtureOfGaussians(RealLikelihood):
    """Outputs K logits of the weights λ, K means and K numbers for the σ."""

    def __init__(self, components: int) -> None:
        self.outputs = 3 * components

    def link(self, output: Tensor) -> Parameters:
        logits, means, raw = output.chunk(3, dim=-1)
        return {"log_weights": logits.log_softmax(dim=-1), "means": means, "sigmas": positive(raw)}

    def _nll(self, theta: Parameters, y: Tensor) -> Tensor:
        return -_joint(theta, y[..., None]).logsumexp(dim=-1)

    def _mode(self, theta: Parameters) -> Tensor:
        """Climbs from every mean to the peak above it, y ← Σ r_k μ_k/σ_k² / Σ r_k/σ_k² with r the
        responsibilities (Carreira-Perpiñán 2000), and takes the highest peak."""
        each = {name: value[..., None, :] for name, value in theta.items()}
        y = theta["means"]
        for _ in range(1000):
            pull = _joint(each, y[..., None]).softmax(dim=-1) / each["sigmas"] ** 2
            moved = (pull * each["means"]).sum(dim=-1) / pull.sum(dim=-1)
            done = torch.allclose(moved, y, rtol=1e-7, atol=1e-7)
            y = moved
            if done:
                break
        best = _joint(each, y[..., None]).logsumexp(dim=-1).argmax(dim=-1, keepdim=True)
        return y.gather(-1, best)[..., 0]

    def _sample(self, theta: Parameters, generator: torch.Generator | None) -> Tensor:
        weights = theta["log_weights"].exp()
        rows = torch.multinomial(weights.reshape(-1, weights.shape[-1]), 1, generator=generator)
        which = rows.view(*weights.shape[:-1], 1)
        mean, sigma = (theta[name].gather(-1, which)[..., 0] for name in ("means", "sigmas"))
        return mean + sigma * normal_like(sigma, generator)


def _joint(theta: Parameters, y: Tensor) -> Tensor:
    """log λ_k N(y; μ_k, σ_k²), (..., components)."""
    return theta["log_weights"] - normal_nll(y, theta["means"], theta["sigmas"])
