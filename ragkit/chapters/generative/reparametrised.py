"""Row 122: two estimates of one gradient, and how noisy each is."""

from collections.abc import Callable

import torch
from torch import Tensor

from ragkit.models.generative.reparametrisation import DiagonalNormal, score_function_surrogate

DRAWS, SIZE = 20_000, 10

Surrogate = Callable[[DiagonalNormal, Tensor], Tensor]
"""From q and a to a scalar whose gradient is the estimate."""


def reparametrisation() -> dict[str, float | list[float]]:
    """∇ E ‖z - a‖² by μ is 2 (μ - a), by log σ² it is σ²: both estimates against these."""
    off, ratios = [], []
    for seed in (0, 1, 2):
        torch.manual_seed(seed)
        aim, mean, log_variance = torch.randn(3, SIZE, dtype=torch.float64)
        exact = torch.cat([2 * (mean - aim), log_variance.exp()])
        deviations, variances = [], []
        for surrogate in (_through_the_draw, _by_the_score):
            each = _gradients(surrogate, mean, log_variance, aim)
            error = each.std(dim=0) / DRAWS**0.5
            deviations.append(float(((each.mean(dim=0) - exact) / error).abs().max()))
            variances.append(float(each.var(dim=0).sum()))
        off.append(max(deviations))
        ratios.append(variances[1] / variances[0])
    return {
        "z - rsample": rsample_off(),
        "standard errors off": off,
        "variance of the score's / ours": ratios,
    }


def rsample_off() -> float:
    """Draws and their gradients, against torch's Normal from the same noise."""
    mean, log_variance = torch.randn(2, 7, dtype=torch.float64, requires_grad=True).unbind()
    found = []
    for draw in (
        lambda: DiagonalNormal(mean, log_variance).sample(),
        lambda: torch.distributions.Normal(mean, (log_variance / 2).exp()).rsample(),
    ):
        torch.manual_seed(0)
        z = draw()
        found.append(torch.stack([z, *torch.autograd.grad(z.square().sum(), (mean, log_variance))]))
    return float((found[0] - found[1]).detach().abs().max())


def _gradients(surrogate: Surrogate, mean: Tensor, log_variance: Tensor, aim: Tensor) -> Tensor:
    """One estimate a draw, (draws, 2 · size)."""
    inputs = [part.expand(DRAWS, -1).clone().requires_grad_() for part in (mean, log_variance)]
    value = surrogate(DiagonalNormal(*inputs), aim) * DRAWS
    return torch.cat(torch.autograd.grad(value, inputs), dim=1)


def _distance(z: Tensor, aim: Tensor) -> Tensor:
    return (z - aim).square().sum(dim=-1)


def _through_the_draw(q: DiagonalNormal, aim: Tensor) -> Tensor:
    return _distance(q.sample(), aim).mean()


def _by_the_score(q: DiagonalNormal, aim: Tensor) -> Tensor:
    z = q.sample().detach()
    return score_function_surrogate(q, z, _distance(z, aim))
