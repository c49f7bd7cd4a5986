"""Row 157: a learned optimiser on quadratics of ten dimensions, against SGD, momentum and Adam."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.picture import panels, save
from ragkit.models.meta.learned_optimiser import LstmOptimiser, preprocessed, unroll
from ragkit.training.recipe import LoopSettings, Recipe

DIMENSION, STEPS, UNROLL = 10, 100, 20
TESTED = 256
RATES = [0.0003 * 10 ** (i / 4) for i in range(15)]
"""From 0.0003 to 1: what the rivals' step sizes are tuned over."""


class Quadratics(NamedTuple):
    """f_i(θ) = ‖W_i θ - y_i‖², entries drawn from N(0, 1): W (functions, 10, 10), y (functions, 10)."""

    w: Tensor
    y: Tensor

    def values(self, theta: Tensor) -> Tensor:
        """(functions,) of θ (functions, 10), one for each."""
        return (torch.einsum("fij,fj->fi", self.w, theta) - self.y).square().sum(dim=1)


def quadratics(count: int, generator: torch.Generator) -> Quadratics:
    return Quadratics(
        torch.randn(count, DIMENSION, DIMENSION, generator=generator),
        torch.randn(count, DIMENSION, generator=generator),
    )


def tested() -> Quadratics:
    return quadratics(TESTED, torch.Generator().manual_seed(1))


class Stretch(NamedTuple):
    """What is trained on at once: some functions, and the step at which the gradient sets in."""

    functions: Quadratics
    start: int


class OptimiserRecipe(Recipe):
    """Each step draws new functions and a stretch of `UNROLL` of their 100 steps. What comes before the
    stretch is walked without a graph, by the optimiser as it is: the truncated unroll, and every step of the
    training still follows from the weights and the seed alone."""

    def __init__(self, model: LstmOptimiser, batch_size: int, seed: int) -> None:
        self.model, self._batch_size, self._seed = model, batch_size, seed

    def batches(self, epoch: int) -> Sequence[Stretch]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + epoch)
        starts = range(0, STEPS, UNROLL)
        return [Stretch(quadratics(self._batch_size, generator), start) for start in starts]

    def step(self, model: nn.Module, batch: Stretch) -> Mapping[str, Tensor]:
        assert isinstance(model, LstmOptimiser)
        functions = on_device_of(model, batch.functions)

        def total(theta: Tensor) -> Tensor:
            return functions.values(theta).sum()

        theta = torch.zeros_like(functions.y)
        state = model.start(theta)
        if batch.start:
            with torch.no_grad():
                _, theta, state = unroll(model, total, theta, state, batch.start)
        values, _, _ = unroll(model, total, theta, state, UNROLL)
        return {"loss": values.mean() / len(functions.y)}

    def validate(self, model: nn.Module) -> dict[str, float]:
        assert isinstance(model, LstmOptimiser)
        return {"loss": float(learned_curve(model, tested())[-1])}


@dataclass(frozen=True, kw_only=True)
class LearnedOptimiser(Experiment):
    """An LSTM of two layers with `hidden` units a coordinate."""

    hidden: int = 20
    batch_size: int = 32
    loop: LoopSettings = LoopSettings(
        learning_rate=1e-2, max_steps=1000, precision="fp32", validate_every=500, log_every=50
    )

    def recipe(self) -> Recipe:
        return OptimiserRecipe(LstmOptimiser(self.hidden), self.batch_size, self.loop.seed)

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        assert isinstance(recipe.model, LstmOptimiser)
        curves = {"learned": learned_curve(recipe.model, tested())} | tuned_curves()
        draw(curves, out / "optimisers.png")
        return {name: float(curve[-1]) for name, curve in curves.items()}


@torch.no_grad()
def learned_curve(model: LstmOptimiser, functions: Quadratics) -> Tensor:
    """The mean loss of the functions after 0 .. 100 steps from θ = 0, (101,)."""
    functions = on_device_of(model, functions)
    theta = torch.zeros_like(functions.y)

    def total(theta: Tensor) -> Tensor:
        return functions.values(theta).sum()

    values, _, _ = unroll(model, total, theta, model.start(theta), STEPS)
    return torch.cat([total(theta)[None], values]).cpu() / len(functions.y)


@cache
def tuned_curves() -> dict[str, Tensor]:
    """The rivals' curves on the tested functions; the step size of each, and momentum's decay, is the best
    after 100 steps on other functions."""
    others = quadratics(TESTED, torch.Generator().manual_seed(2))
    rivals: dict[str, list[Callable[[Tensor], torch.optim.Optimizer]]] = {
        "SGD": [lambda theta, lr=lr: torch.optim.SGD([theta], lr=lr) for lr in RATES],  # type: ignore[misc]
        "momentum": [
            lambda theta, lr=lr, decay=decay: torch.optim.SGD([theta], lr=lr, momentum=decay)  # type: ignore[misc]
            for lr in RATES
            for decay in (0.5, 0.8, 0.9, 0.95)
        ],
        "Adam": [lambda theta, lr=lr: torch.optim.Adam([theta], lr=lr) for lr in RATES],  # type: ignore[misc]
    }
    curves = {}
    for name, candidates in rivals.items():
        reached = [torch.nan_to_num(curve(make, others)[-1], nan=torch.inf) for make in candidates]
        curves[name] = curve(candidates[int(torch.stack(reached).argmin())], tested())
    return curves


def curve(make: Callable[[Tensor], torch.optim.Optimizer], functions: Quadratics) -> Tensor:
    """As `learned_curve`, of an optimiser of torch. All three work coordinate by coordinate, so that all
    functions run at once."""
    theta = torch.zeros_like(functions.y, requires_grad=True)
    optimiser, values = make(theta), []
    for _ in range(STEPS + 1):
        optimiser.zero_grad()
        value = functions.values(theta).sum()
        value.backward()
        optimiser.step()
        values.append(value.detach())
    return torch.stack(values) / len(functions.y)


def on_device_of(model: nn.Module, functions: Quadratics) -> Quadratics:
    device = next(model.parameters()).device
    return Quadratics(functions.w.to(device), functions.y.to(device))


def draw(curves: Mapping[str, Tensor], file: Path) -> None:
    figure, (axes,) = panels()
    for name, values in curves.items():
        axes.plot(values.numpy(), label=name)
    axes.set(xlabel="step", ylabel="mean loss of unseen quadratics", yscale="log")
    axes.legend()
    save(figure, file)


def learned_optimiser() -> dict[str, float | list[float]]:
    """Row 157; the preprocessing of the gradient once more by its two cases."""
    gradient = torch.tensor([3.0, -2e-3, 1e-6, -1e-7, 0.0], dtype=torch.float64)
    e = torch.e
    by_hand = [
        (torch.tensor(3.0, dtype=torch.float64).log() / 10, 1),
        (torch.tensor(2e-3, dtype=torch.float64).log() / 10, -1),
        (-1, e**10 * 1e-6),
        (-1, -(e**10) * 1e-7),
        (-1, 0),
    ]
    off = preprocessed(gradient) - torch.tensor(by_hand, dtype=torch.float64)
    reached = over_seeds(LearnedOptimiser())
    best = [
        min(rivals) for rivals in zip(*(reached[name] for name in ("SGD", "momentum", "Adam")), strict=True)
    ]
    return {
        "error": float(off.abs().max()),
        "loss / best rival's": [a / b for a, b in zip(reached["learned"], best, strict=True)],
    }
