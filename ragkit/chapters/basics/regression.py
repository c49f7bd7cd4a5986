"""Regression that outputs a distribution: uncertain, robust and many-valued. Rows 13-16."""

from abc import abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.picture import panels, save
from ragkit.chapters.tensors import TensorRecipe
from ragkit.models.basics.likelihoods.likelihood import Likelihood
from ragkit.models.basics.likelihoods.mixture import MixtureOfGaussians
from ragkit.models.basics.likelihoods.normal import Normal
from ragkit.models.basics.likelihoods.robust import Laplace, StudentT
from ragkit.models.basics.mlp import Mlp
from ragkit.training.recipe import LoopSettings, Recipe

LOOP = LoopSettings(learning_rate=5e-3, epochs=30, precision="fp32", validate_every=200)
WITHIN_90 = 1.6449
"""Standard deviations to each side that hold 90 % of a normal."""


@dataclass(frozen=True, kw_only=True)
class Regression(Experiment):
    """An MLP from one input to the parameters of a likelihood, trained on its negative log-likelihood."""

    items: int = 2000
    width: int = 48
    batch_size: int = 100
    loop: LoopSettings = LOOP

    @abstractmethod
    def likelihood(self) -> Likelihood: ...

    @abstractmethod
    def data(self, items: int, seed: int) -> tuple[Tensor, Tensor]:
        """(items,) inputs and labels."""

    def held_out(self) -> tuple[Tensor, Tensor]:
        """As many again, of a seed that is not trained with."""
        return self.data(self.items, 1000 + self.loop.seed)

    def recipe(self) -> Recipe:
        likelihood, held_out = self.likelihood(), self.held_out()

        def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
            return likelihood.nll(model(x[:, None]), y).mean()

        return TensorRecipe(
            Mlp([1, self.width, self.width, likelihood.outputs], "tanh"),
            self.data(self.items, self.loop.seed),
            loss,
            lambda model: {"nll": float(loss(model, *held_out)), "loss": float(loss(model, *held_out))},
            batch_size=self.batch_size,
            seed=self.loop.seed,
        )


@dataclass(frozen=True, kw_only=True)
class Heteroscedastic(Regression):
    """y = sin 3x + σ(x) ε with σ(x) = 0.05 + 0.4 x²: the network outputs μ(x) and σ(x)."""

    def likelihood(self) -> Normal:
        return Normal()

    def data(self, items: int, seed: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        x = 2 * torch.rand(items, generator=generator) - 1
        noise = torch.randn(items, generator=generator)
        return x, torch.sin(3 * x) + true_sigma(x) * noise

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        x, y = self.held_out()
        with torch.no_grad():
            theta = self.likelihood().link(recipe.model(x[:, None]))
        inside = ((y - theta["mean"]).abs() <= WITHIN_90 * theta["sigma"]).float().mean()
        both = torch.stack([theta["sigma"], true_sigma(x)])
        self._draw(recipe.model, out)
        return {"correlation of σ": float(both.corrcoef()[0, 1]), "in the 90 % band": float(inside)}

    def _draw(self, model: nn.Module, out: Path) -> None:
        x, y = self.held_out()
        grid = torch.linspace(-1, 1, 200)
        with torch.no_grad():
            theta = self.likelihood().link(model(grid[:, None]))
        low = theta["mean"] - WITHIN_90 * theta["sigma"]
        high = theta["mean"] + WITHIN_90 * theta["sigma"]
        figure, (left, right) = panels(2)
        left.plot(x, y, ".", markersize=2, color="0.6")
        left.plot(grid, theta["mean"], color="tab:blue", label="μ(x)")
        left.fill_between(grid, low, high, alpha=0.3, label="90 % band")
        left.set(xlabel="x", ylabel="y")
        left.legend()
        right.plot(grid, theta["sigma"], label="learnt σ(x)")
        right.plot(grid, true_sigma(grid), "--", label="true σ(x)")
        right.set(xlabel="x")
        right.legend()
        save(figure, out / "band.png")


def true_sigma(x: Tensor) -> Tensor:
    return 0.05 + 0.4 * x**2


@dataclass(frozen=True, kw_only=True)
class Robust(Regression):
    """y = sin 3x + 0.1 ε with 10 % outliers, uniform in [-10, 10]; the error against sin 3x counts."""

    head: Literal["normal", "laplace", "t"] = "t"
    items: int = 1000
    loop: LoopSettings = replace(LOOP, epochs=60)

    def likelihood(self) -> Likelihood:
        heads: dict[str, type[Normal] | type[Laplace] | type[StudentT]] = {
            "normal": Normal,
            "laplace": Laplace,
            "t": StudentT,
        }
        return heads[self.head]()

    def data(self, items: int, seed: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        x = 2 * torch.rand(items, generator=generator) - 1
        y = torch.sin(3 * x) + 0.1 * torch.randn(items, generator=generator)
        outlier = torch.rand(items, generator=generator) < 0.1
        return x, torch.where(outlier, 20 * torch.rand(items, generator=generator) - 10, y)

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        grid = torch.linspace(-1, 1, 500)
        with torch.no_grad():
            predicted = self.likelihood().mode(recipe.model(grid[:, None]))
        x, y = self.data(self.items, self.loop.seed)
        figure, (axes,) = panels()
        axes.plot(x, y, ".", markersize=2, color="0.6")
        axes.plot(grid, torch.sin(3 * grid), "--", label="sin 3x")
        axes.plot(grid, predicted, label=self.head)
        axes.set(xlabel="x", ylabel="y", ylim=(-3, 3))
        axes.legend()
        save(figure, out / "fit.png")
        return {"clean MAE": float((predicted - torch.sin(3 * grid)).abs().mean())}


@dataclass(frozen=True, kw_only=True)
class InverseSine(Regression):
    """x = t + 0.3 sin 2πt + noise, and t is asked of x: up to three answers (Bishop 1994)."""

    components: int = 4
    batch_size: int = 50

    def likelihood(self) -> MixtureOfGaussians:
        return MixtureOfGaussians(self.components)

    def data(self, items: int, seed: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        t = torch.rand(items, generator=generator)
        x = t + 0.3 * torch.sin(2 * torch.pi * t) + 0.05 * torch.randn(items, generator=generator)
        return 4 * x - 2, 4 * t - 2

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        x, y = self.held_out()
        with torch.no_grad():
            output = recipe.model(x[:, None])
        sampled = self.likelihood().sample(output, torch.Generator().manual_seed(self.loop.seed))
        figure, (left, right) = panels(2)
        left.plot(x, y, ".", markersize=2, color="0.6", label="data")
        left.plot(x, self.likelihood().mode(output), ".", markersize=2, label="most probable t")
        right.plot(x, sampled, ".", markersize=2, color="tab:orange", label="sampled t")
        for axes in (left, right):
            axes.set(xlabel="x", ylabel="t")
            axes.legend()
        save(figure, out / "modes.png")
        return {}


def learnt_sigma() -> dict[str, float | list[float]]:
    """Row 13."""
    from torch.distributions import Normal as Theirs

    output = torch.randn(100, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    theta, y = Normal().link(output), output.flip(0)[:, 0]
    gaussian = nn.GaussianNLLLoss(full=True, reduction="none")(theta["mean"], y, theta["sigma"] ** 2)
    ours = Normal().nll(output, y)
    density = -Theirs(theta["mean"], theta["sigma"]).log_prob(y)
    error = max((ours - gaussian).abs().max().item(), (ours - density).abs().max().item())
    reached = over_seeds(Heteroscedastic())
    return {"error": error} | {name: reached[name] for name in ("correlation of σ", "in the 90 % band")}


def laplace() -> dict[str, float | list[float]]:
    """Row 14."""
    from ragkit.chapters.basics.heads import parity

    return {"error": parity(["Laplace"]), "clean MAE / normal's": _robustness("laplace")}


def student_t() -> dict[str, float | list[float]]:
    """Row 15: also the t with a million degrees of freedom against the normal."""
    from ragkit.chapters.basics.heads import parity

    gaps = []
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        output = torch.randn(1000, 2, generator=generator, dtype=torch.float64)
        theta = Normal().link(output)
        # Within 3 sigma: the two part as z⁴ / 4ν, without limit in the far tails.
        z = 6 * torch.rand(1000, generator=generator, dtype=torch.float64) - 3
        y = theta["mean"] + theta["sigma"] * z
        free = torch.cat([output, torch.full((1000, 1), 1e6, dtype=torch.float64)], dim=1)
        gaps.append((StudentT().nll(free, y) - Normal().nll(output, y)).abs().max().item())
    return {
        "error": parity(["t"]),
        "t with ν=10⁶ - normal, within 3σ": gaps,
        "clean MAE / normal's": _robustness("t"),
    }


def mixture() -> dict[str, float | list[float]]:
    """Row 16: nats by which the mixture's loss lies below that of one component, a normal."""
    from ragkit.chapters.basics.heads import parity

    one, several = over_seeds(InverseSine(components=1)), over_seeds(InverseSine())
    gained = [a - b for a, b in zip(one["nll"], several["nll"], strict=True)]
    return {"error": parity(["mixture"]), "nats below one normal": gained}


def _robustness(head: Literal["laplace", "t"]) -> list[float]:
    ours, normal = over_seeds(Robust(head=head)), over_seeds(Robust(head="normal"))
    return [a / b for a, b in zip(ours["clean MAE"], normal["clean MAE"], strict=True)]
