"""Measures of rows 11, 12 and 17-25: every head against torch's distributions, scipy, and its own samples."""

import itertools
import math

import numpy as np
import torch
from torch import Tensor, distributions
from torch.nn import functional

from ragkit.chapters.basics.heads import Head, heads, parity
from ragkit.errors import RagkitError
from ragkit.models.basics.likelihoods.beta import Beta
from ragkit.models.basics.likelihoods.classes import Bernoulli, Categorical
from ragkit.models.basics.likelihoods.likelihood import Likelihood
from ragkit.models.basics.likelihoods.magnitude import Exponential, Gamma
from ragkit.models.basics.likelihoods.multivariate_normal import MultivariateNormal
from ragkit.models.basics.likelihoods.normal import Normal
from ragkit.models.basics.likelihoods.plackett_luce import PlackettLuce
from ragkit.models.basics.likelihoods.poisson import Poisson
from ragkit.models.basics.likelihoods.von_mises import VonMises

SAMPLES = 20_000


def recipe() -> dict[str, float | list[float]]:
    """Row 11: all heads."""
    failed = 0
    for head in heads().values():
        generator = torch.Generator().manual_seed(1)
        output = torch.tensor([head.output] * 3, dtype=torch.float64)
        y = head.likelihood.sample(output, generator)
        output.requires_grad_()
        try:
            torch.autograd.gradcheck(lambda o, h=head, t=y: h.likelihood.nll(o, t), output)
        except torch.autograd.gradcheck.GradcheckError:  # type: ignore[attr-defined]
            failed += 1
    return {
        "error": parity(list(heads())),
        "gradients off": failed,
        "standard errors off": [
            max(_deviation(head, seed) for head in heads().values()) for seed in range(3)
        ],
    }


def _deviation(head: Head, seed: int) -> float:
    """Parameters fitted to samples, against the true ones: the largest deviation in standard errors.

    The outputs' covariance is the inverse of the Fisher information, the mean square of the gradients of the
    single losses (directions that change nothing, such as a constant added to all logits, have none); the
    link's Jacobian turns it into the parameters'.
    """
    true = torch.tensor(head.output, dtype=torch.float64)
    y = head.likelihood.sample(true.expand(SAMPLES, -1), torch.Generator().manual_seed(seed))

    def theta(output: Tensor) -> Tensor:
        return torch.cat([value.flatten() for value in head.likelihood.link(output).values()])

    fitted = fit(head.likelihood, y, true + 0.2)
    each = true.repeat(SAMPLES, 1).requires_grad_()
    scores = torch.autograd.grad(head.likelihood.nll(each, y).sum(), each)[0]
    covariance = torch.linalg.pinv(scores.T @ scores, rtol=1e-9, hermitian=True)
    jacobian = torch.autograd.functional.jacobian(theta, true)
    errors = (jacobian @ covariance @ jacobian.T).diagonal().clamp(min=0).sqrt()
    off = (theta(fitted) - theta(true)).abs()
    return float((off / errors)[errors > 1e-12].max())


def fit(likelihood: Likelihood, y: Tensor, start: Tensor) -> Tensor:
    """The one output, for all labels, of least loss."""
    output = start.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([output], max_iter=50, tolerance_grad=1e-7, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = likelihood.nll(output.expand(len(y), -1), y).mean()
        loss.backward()
        return loss

    optimiser.step(closure)
    return output.detach()


def normal_with_fixed_sigma() -> dict[str, float]:
    """Row 12."""
    generator = torch.Generator().manual_seed(0)
    output = torch.randn(50, 1, generator=generator, dtype=torch.float64, requires_grad=True)
    y = torch.randn(50, generator=generator, dtype=torch.float64)
    worst = 0.0
    for sigma in (0.3, 1.0, 4.0):
        ours = torch.autograd.grad(Normal(sigma).nll(output, y).mean(), output)[0]
        theirs = torch.autograd.grad(functional.mse_loss(output[:, 0], y), output)[0] / (2 * sigma**2)
        worst = max(worst, (ours - theirs).abs().max().item())
    return {"gradient - MSE's / 2σ²": worst}


def magnitudes() -> dict[str, float]:
    """Row 17."""
    y = torch.linspace(0.1, 5, 50, dtype=torch.float64)
    raw_of_1 = math.log(math.expm1(1 - 1e-6))
    rate = torch.full((50, 1), 0.3, dtype=torch.float64)
    gamma = Gamma().nll(torch.cat([torch.full_like(rate, raw_of_1), rate], dim=1), y)
    equal = (gamma - Exponential().nll(rate, y)).abs().max().item()
    taken = sum(_takes(head, value) for head in (Exponential(), Gamma()) for value in (0.0, -1.0))
    error = parity(["exponential", "gamma"])
    return {"error": error, "gamma at α=1 - exponential": equal, "labels y ≤ 0 taken": taken}


def beta() -> dict[str, float]:
    """Row 18."""
    output = torch.tensor([[2.0, 3.0], [-2.0, -1.0], [5.0, -3.0]], dtype=torch.float64).repeat(2, 1)
    y = torch.tensor([0.0] * 3 + [1.0] * 3, dtype=torch.float64)
    infinite = int((~Beta().nll(output, y).isfinite()).sum())
    taken = sum(_takes(Beta(), value) for value in (-0.01, 1.01))
    return {"error": parity(["beta"]), "infinite at 0 or 1": infinite, "labels outside [0, 1] taken": taken}


def multivariate_normal() -> dict[str, float | list[float]]:
    """Row 19: a 3x3 covariance fitted to samples of it."""
    head = MultivariateNormal(3)
    true = torch.tensor(heads()["multivariate normal"].output, dtype=torch.float64)
    factor = head.link(true)["factor"]
    covariance = factor @ factor.T
    errors = []
    for seed in range(3):
        y = head.sample(true.expand(SAMPLES, -1), torch.Generator().manual_seed(seed))
        fitted = head.link(fit(head, y, torch.zeros(9, dtype=torch.float64)))["factor"]
        errors.append(float((fitted @ fitted.T - covariance).norm() / covariance.norm()))
    return {"error": parity(["multivariate normal"]), "covariance off": errors}


def von_mises() -> dict[str, float]:
    """Row 20: also the loss at a concentration where I_0 itself overflows."""
    output = torch.randn(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.linspace(-3, 3, 50, dtype=torch.float64)
    turn = (VonMises().nll(output, y) - VonMises().nll(output, y + 2 * math.pi)).abs().max().item()
    sharp = VonMises().nll(torch.tensor([[0.0, 1.0, 1e4]], dtype=torch.float64), torch.zeros(1).double())
    # For large κ the density at μ is that of a normal with variance 1/κ.
    normal = 0.5 * math.log(2 * math.pi / 1e4)
    return {
        "error": parity(["von Mises"]),
        "loss(y) - loss(y + 2π)": turn,
        "off the normal at κ=10⁴": abs(float(sharp) - normal),
    }


def bernoulli() -> dict[str, float]:
    """Row 21."""
    output = torch.tensor([[1e4], [1e4], [-1e4], [-1e4]], dtype=torch.float64, requires_grad=True)
    y = torch.tensor([0.0, 1.0, 0.0, 1.0], dtype=torch.float64)
    loss = Bernoulli().nll(output, y)
    loss.sum().backward()
    assert output.grad is not None
    infinite = int((~loss.isfinite()).sum() + (~output.grad.isfinite()).sum())
    return {"error": parity(["Bernoulli"]), "infinite at logits ±10⁴": infinite}


def categorical() -> dict[str, float]:
    """Row 22: against cross-entropy, and with a constant added to all logits."""
    generator = torch.Generator().manual_seed(0)
    output = torch.randn(50, 5, generator=generator, dtype=torch.float64)
    y = torch.randint(0, 5, (50,), generator=generator)
    ours = Categorical(5).nll(output, y)
    theirs = functional.cross_entropy(output, y, reduction="none")
    shifted = Categorical(5).nll(output + 100, y)
    return {
        "error": (ours - theirs).abs().max().item(),
        "changed by a shift": (ours - shifted).abs().max().item(),
    }


def poisson() -> dict[str, float]:
    """Row 23: parity at counts 0 to 20."""
    rate_raw = torch.linspace(-3, 10, 21, dtype=torch.float64)[:, None].expand(21, 21)[..., None]
    y = torch.arange(21, dtype=torch.float64).expand(21, 21)
    theirs = -distributions.Poisson(Poisson().link(rate_raw)["rate"]).log_prob(y)
    return {"error": (Poisson().nll(rate_raw, y) - theirs).abs().max().item()}


def plackett_luce() -> dict[str, float]:
    """Row 24: every ranking of 5 items has its probability; for two items it is a binary cross-entropy."""
    scores = torch.randn(5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rankings = torch.tensor(list(itertools.permutations(range(5))))
    total = PlackettLuce(5).nll(scores.expand(len(rankings), -1), rankings).neg().exp().sum()
    pairs = torch.randn(50, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    first = torch.tensor([[0, 1]]).expand(50, -1)
    binary = functional.softplus(pairs[:, 1] - pairs[:, 0])
    return {
        "error": parity(["Plackett-Luce"]),
        "sum over 120 rankings - 1": abs(float(total) - 1),
        "two items - BCE of the difference": (PlackettLuce(2).nll(pairs, first) - binary).abs().max().item(),
    }


def inference() -> dict[str, float]:
    """Row 25: the mode of every head against the minimum of its loss that a search finds."""
    worst = 0.0
    for head in heads().values():
        output = torch.tensor(head.output, dtype=torch.float64)
        found = _search(head.likelihood, output)
        worst = max(worst, (head.likelihood.mode(output) - found).abs().max().item())
    return {"mode - search": worst}


def _search(likelihood: Likelihood, output: Tensor) -> Tensor:
    """The label of least loss: of all, where they can be counted; else by scipy from the best of a grid."""
    from scipy.optimize import minimize

    if isinstance(likelihood, Bernoulli | Categorical | Poisson | PlackettLuce):
        if isinstance(likelihood, PlackettLuce):
            labels = torch.tensor(list(itertools.permutations(range(likelihood.outputs))))
        else:
            labels = torch.arange(2 if likelihood.outputs == 1 else likelihood.outputs)
            labels = torch.arange(60) if isinstance(likelihood, Poisson) else labels
        labels = labels.double()
        return labels[likelihood.nll(output.expand(len(labels), -1), labels).argmin()]
    bounded = isinstance(likelihood, Exponential | Gamma | Beta)
    low, high = (1e-6, 1 - 1e-6 if isinstance(likelihood, Beta) else 30.0) if bounded else (-6.0, 6.0)

    def loss(y: np.ndarray) -> float:
        label = torch.as_tensor(np.clip(y, low, high)).view(likelihood.event)
        return float(likelihood.nll(output, label))

    size = math.prod(likelihood.event)
    starts = [np.full(size, value) for value in np.linspace(low, high, 25)]
    best = min(starts, key=loss)
    found = minimize(
        loss, best, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-13, "maxiter": 5000}
    )
    return torch.as_tensor(np.clip(found.x, low, high)).view(likelihood.event)


def _takes(likelihood: Likelihood, value: float) -> bool:
    output = torch.zeros(1, likelihood.outputs, dtype=torch.float64)
    try:
        likelihood.nll(output, torch.tensor([value], dtype=torch.float64))
    except RagkitError:
        return False
    return True
