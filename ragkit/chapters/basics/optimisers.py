"""Measures of rows 26 and 29-32: optimisers and schedules against torch's and transformers', step by step."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler

from ragkit.models.basics.adam import Adam
from ragkit.models.basics.mlp import Mlp
from ragkit.models.basics.momentum import Momentum
from ragkit.models.basics.nesterov import Nesterov
from ragkit.models.basics.optimiser import GradientDescent
from ragkit.models.basics.schedules import Schedule, cosine, linear, step_decay

Make = Callable[[Any], torch.optim.Optimizer]


def gradient_descent() -> dict[str, float]:
    """Row 26: on ½ φᵀAφ with largest curvature 4, step sizes on both sides of 2/4."""
    wrong = 0
    for factor in (0.1, 0.5, 0.9, 0.99, 1.01, 1.1, 2.0):
        phi = torch.ones(3, dtype=torch.float64, requires_grad=True)
        curvature = torch.tensor([0.5, 1.0, 4.0], dtype=torch.float64)
        optimiser = GradientDescent([phi], lr=factor * 2 / 4)
        for _ in range(500):
            optimiser.zero_grad()
            (0.5 * curvature * phi**2).sum().backward()
            optimiser.step()
        grew = not phi.norm() < 3**0.5
        wrong += grew != (factor > 1)
    return {
        "error": apart(lambda p: GradientDescent(p, lr=0.05), lambda p: torch.optim.SGD(p, lr=0.05)),
        "step sizes on the wrong side": wrong,
    }


def schedules() -> dict[str, float]:
    """Row 29: every rate of 200 steps; the torch scheduler is stopped at step 77 and resumed."""
    from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

    def resumed(make: Callable[[torch.optim.Optimizer], Any]) -> list[float]:
        optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
        scheduler, rates = make(optimiser), []
        for step in range(200):
            if step == 77:
                weights, state = optimiser.state_dict(), scheduler.state_dict()
                optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
                scheduler = make(optimiser)
                optimiser.load_state_dict(weights)
                scheduler.load_state_dict(state)
            rates.append(optimiser.param_groups[0]["lr"])
            optimiser.step()
            scheduler.step()
        return rates

    pairs: list[tuple[Schedule, Callable[[Any], Any]]] = [
        (step_decay(30, 0.5), lambda o: lr_scheduler.StepLR(o, 30, 0.5)),
        (cosine(200), lambda o: lr_scheduler.CosineAnnealingLR(o, 200)),
        (cosine(200, warm_up=20), lambda o: get_cosine_schedule_with_warmup(o, 20, 200)),
        (linear(200, warm_up=20), lambda o: get_linear_schedule_with_warmup(o, 20, 200)),
    ]
    errors = [abs(ours(step) - rate) for ours, theirs in pairs for step, rate in enumerate(resumed(theirs))]
    taken_up = [
        abs(ours(step) - rate)
        for ours, _ in pairs
        for step, rate in enumerate(resumed(partial(lr_scheduler.LambdaLR, lr_lambda=ours)))
    ]
    return {"error": max(errors), "error of LambdaLR resumed": max(taken_up)}


def momentum() -> dict[str, float]:
    """Row 30: torch's factor in front of the gradient is 1, so its rate is α(1-β)."""
    theirs = lambda p: torch.optim.SGD(p, lr=0.05 * 0.1, momentum=0.9)  # noqa: E731
    return {"error": apart(lambda p: Momentum(p, lr=0.05, beta=0.9), theirs, steps=30)}


def nesterov() -> dict[str, float]:
    """Row 31: the notes' form against its two lines written out."""
    theirs = lambda p: torch.optim.SGD(p, lr=0.05 * 0.1, momentum=0.9, nesterov=True)  # noqa: E731
    phi, m = torch.tensor([3.0, -2.0], dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    ours = phi.clone().requires_grad_()
    optimiser = Nesterov([ours], lr=0.1, beta=0.8, variant="notes")
    worst = 0.0
    for _ in range(30):
        m = 0.8 * m + 0.2 * _bowl_gradient(phi - 0.1 * m)
        phi = phi - 0.1 * m
        ours.grad = _bowl_gradient(ours.detach())
        optimiser.step()
        worst = max(worst, (optimiser.phi(ours) - phi).abs().max().item())
    return {
        "error": apart(lambda p: Nesterov(p, lr=0.05, beta=0.9), theirs, steps=30),
        "error of the notes' form": worst,
    }


def adam() -> dict[str, float]:
    """Row 32: 100 steps beside torch's Adam and AdamW; then |x| from 1.03 in steps of 0.1."""
    torch_adam = apart(lambda p: Adam(p, lr=0.01), lambda p: torch.optim.Adam(p, lr=0.01), steps=100)
    decayed = apart(
        lambda p: Adam(p, lr=0.01, weight_decay=0.1),
        lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
        steps=100,
    )
    sign = apart(
        lambda p: Adam(p, lr=0.01, variant="notes"),
        lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.0, 0.0)),
        steps=100,
    )
    return {
        "error": max(torch_adam, decayed),
        "error of the notes' form": sign,
        "notes' bounce / α": _bounce(lambda p: Adam(p, lr=0.1, variant="notes"), None) / 0.1,
        "decayed Adam's bounce / α": _bounce(lambda p: Adam(p, lr=0.1), cosine(400)) / 0.1,
    }


def apart(ours: Make, theirs: Make, steps: int = 30) -> float:
    """The largest difference of any weight of an MLP that both optimisers train, over all steps."""
    torch.manual_seed(0)
    first, second = Mlp([4, 8, 2]).double(), Mlp([4, 8, 2]).double()
    second.load_state_dict(first.state_dict())
    optimisers = [(first, ours(first.parameters())), (second, theirs(second.parameters()))]
    worst = 0.0
    for _ in range(steps):
        x, y = torch.randn(16, 4, dtype=torch.float64), torch.randn(16, 2, dtype=torch.float64)
        for net, optimiser in optimisers:
            optimiser.zero_grad()
            ((net(x) - y) ** 2).mean().backward()
            optimiser.step()
        pairs = zip(first.parameters(), second.parameters(), strict=True)
        worst = max(worst, *((a - b).abs().max().item() for a, b in pairs))
    return worst


def _bowl_gradient(phi: Tensor) -> Tensor:
    """Of ½ φ_0² + 2 φ_1²."""
    return torch.tensor([1.0, 4.0], dtype=torch.float64) * phi


def _bounce(make: Make, schedule: Schedule | None) -> float:
    """The largest |x| of the last 20 of 400 steps on |x|."""
    x = torch.tensor([1.03], dtype=torch.float64, requires_grad=True)
    optimiser = make([x])
    scheduler = lr_scheduler.LambdaLR(optimiser, schedule) if schedule else None
    distances = []
    for _ in range(400):
        optimiser.zero_grad()
        x.abs().sum().backward()
        optimiser.step()
        if scheduler:
            scheduler.step()
        distances.append(abs(x.item()))
    return max(distances[-20:])
