"""Bernoulli and categorical, for classes. Rows 21, 22.

    Bernoulli:   -log Pr = log(1 + e^z) - yz               z the logit, σ[z] the probability of 1
    Categorical: -log Pr = log Σ_j e^{z_j} - z_y           softmax(z) the probabilities

Computed from the logits: the logarithm of a probability that has been rounded to 0 would be -∞. Classes are
0 .. K-1, where the notes count 1 .. K.
"""

import torch
from torch import Tensor

from ragkit.models.basics.likelihoods.likelihood import Likelihood, Parameters


class Bernoulli(Likelihood):
    """Outputs the logit of label 1."""

    domain = "0 or 1"
    outputs = 1

    def link(self, output: Tensor) -> Parameters:
        return {"logit": output[..., 0]}

    def _contains(self, y: Tensor) -> Tensor:
        return (y == 0) | (y == 1)

    def _nll(self, theta: Parameters, y: Tensor) -> Tensor:
        z = theta["logit"]
        return torch.logaddexp(z, torch.zeros_like(z)) - y * z

    def _mode(self, theta: Parameters) -> Tensor:
        return (theta["logit"] > 0).to(theta["logit"].dtype)

    def _sample(self, theta: Parameters, generator: torch.Generator | None) -> Tensor:
        return torch.bernoulli(theta["logit"].sigmoid(), generator=generator)


class Categorical(Likelihood):
    """Outputs K logits."""

    def __init__(self, classes: int) -> None:
        self.outputs = classes

    @property
    def domain(self) -> str:  # type: ignore[override]
        return f"whole numbers from 0 to {self.outputs - 1}"

    def link(self, output: Tensor) -> Parameters:
        return {"log_probabilities": output - output.logsumexp(dim=-1, keepdim=True)}

    def _contains(self, y: Tensor) -> Tensor:
        return (y >= 0) & (y < self.outputs) & (y == y.round())

    def _nll(self, theta: Parameters, y: Tensor) -> Tensor:
        return -theta["log_probabilities"].gather(-1, y.long()[..., None])[..., 0]

    def _mode(self, theta: Parameters) -> Tensor:
        return theta["log_probabilities"].argmax(dim=-1)

    def _sample(self, theta: Parameters, generator: torch.Generator | None) -> Tensor:
        probabilities = theta["log_probabilities"].exp()
        rows = torch.multinomial(probabilities.reshape(-1, self.outputs), 1, generator=generator)
        return rows.view(probabilities.shape[:-1])
