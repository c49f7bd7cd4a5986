"""Every likelihood with an output to try it at, and with somebody else's density to compare it with."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, distributions
from torch.nn import functional

from ragkit.models.basics.likelihoods.beta import EDGE, Beta
from ragkit.models.basics.likelihoods.classes import Bernoulli, Categorical
from ragkit.models.basics.likelihoods.likelihood import Likelihood, Parameters
from ragkit.models.basics.likelihoods.magnitude import Exponential, Gamma
from ragkit.models.basics.likelihoods.mixture import MixtureOfGaussians
from ragkit.models.basics.likelihoods.multivariate_normal import MultivariateNormal
from ragkit.models.basics.likelihoods.normal import Normal
from ragkit.models.basics.likelihoods.plackett_luce import PlackettLuce
from ragkit.models.basics.likelihoods.poisson import Poisson
from ragkit.models.basics.likelihoods.robust import Laplace, StudentT
from ragkit.models.basics.likelihoods.von_mises import VonMises


class Head(NamedTuple):
    """A likelihood, what a network might output for it, and -log Pr(y | θ) as somebody else computes it."""

    likelihood: Likelihood
    output: list[float]
    reference: Callable[[Parameters, Tensor], Tensor]


def _mixture(theta: Parameters, y: Tensor) -> Tensor:
    parts = distributions.Normal(theta["means"], theta["sigmas"])
    weights = distributions.Categorical(logits=theta["log_weights"])
    return -distributions.MixtureSameFamily(weights, parts).log_prob(y)


def _von_mises(theta: Parameters, y: Tensor) -> Tensor:
    from scipy.stats import vonmises

    law = vonmises(theta["concentration"].detach().numpy(), loc=theta["direction"].detach().numpy())
    return torch.as_tensor(-law.logpdf(y.numpy()))


def _places(theta: Parameters, y: Tensor) -> Tensor:
    """One place after the other, from the softmax of the items not yet placed."""
    total = torch.zeros(y.shape[:-1], dtype=torch.float64)
    scores = theta["scores"].clone()
    for place in y.long().unbind(-1):
        total -= scores.log_softmax(-1).gather(-1, place[..., None])[..., 0]
        scores = scores.scatter(-1, place[..., None], -math.inf)
    return total


def heads() -> dict[str, Head]:
    """All distributions of the notes' table."""
    d = distributions
    return {
        "normal": Head(Normal(), [0.7, 0.4], lambda p, y: -d.Normal(p["mean"], p["sigma"]).log_prob(y)),
        "Laplace": Head(Laplace(), [-1.2, 0.3], lambda p, y: -d.Laplace(p["mean"], p["scale"]).log_prob(y)),
        "t": Head(
            StudentT(),
            [0.5, 0.2, 3.0],
            lambda p, y: -d.StudentT(p["freedom"], p["mean"], p["scale"]).log_prob(y),
        ),
        "mixture": Head(MixtureOfGaussians(2), [0.5, 0.0, -2.0, 2.5, 0.0, 0.8], _mixture),
        "exponential": Head(Exponential(), [0.4], lambda p, y: -d.Exponential(p["rate"]).log_prob(y)),
        "gamma": Head(Gamma(), [2.0, 0.5], lambda p, y: -d.Gamma(p["shape"], p["rate"]).log_prob(y)),
        "beta": Head(
            Beta(),
            [2.0, 3.0],
            lambda p, y: -d.Beta(p["alpha"], p["beta"]).log_prob(y.clamp(EDGE, 1 - EDGE)),
        ),
        "multivariate normal": Head(
            MultivariateNormal(3),
            [1.0, -1.0, 0.5, 0.5, 1.0, 0.2, 0.4, -0.6, 0.3],
            lambda p, y: -d.MultivariateNormal(p["mean"], scale_tril=p["factor"]).log_prob(y),
        ),
        "von Mises": Head(VonMises(), [0.6, -0.8, 1.5], _von_mises),
        "Bernoulli": Head(
            Bernoulli(),
            [0.8],
            lambda p, y: functional.binary_cross_entropy_with_logits(p["logit"], y, reduction="none"),
        ),
        "categorical": Head(
            Categorical(4),
            [0.5, -1.0, 0.0, 1.0],
            lambda p, y: -d.Categorical(logits=p["log_probabilities"]).log_prob(y),
        ),
        "Poisson": Head(Poisson(), [2.5], lambda p, y: -d.Poisson(p["rate"]).log_prob(y)),
        "Plackett-Luce": Head(PlackettLuce(4), [1.0, 0.0, -0.5, 0.3], _places),
    }


def parity(names: Sequence[str]) -> float:
    """Largest difference of the loss to the reference on labels drawn at other parameters."""
    worst = 0.0
    for name in names:
        head = heads()[name]
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(200, len(head.output), generator=generator, dtype=torch.float64)
        output = torch.tensor(head.output, dtype=torch.float64) + noise
        y = head.likelihood.sample(output.flip(0), generator)
        theirs = head.reference(head.likelihood.link(output), y)
        worst = max(worst, (head.likelihood.nll(output, y) - theirs).abs().max().item())
    return worst
