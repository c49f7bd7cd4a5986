"""A critic alone, between two normals that stay as they are: what it learns is known. Rows 114, 118."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.generative.adversarial import LOOP, AdversarialRecipe
from ragkit.chapters.picture import panels, save
from ragkit.errors import RagkitError
from ragkit.models.basics.mlp import Mlp
from ragkit.models.generative.adversaries import Adversaries
from ragkit.models.generative.gan import Gan
from ragkit.models.generative.optimal_discriminator import optimal_discriminator
from ragkit.models.generative.wgan import Wgan
from ragkit.training.recipe import LoopSettings, Recipe

SHIFTS = (0.0, 1.0, 2.0, 4.0)


class Shifted(nn.Module):
    """z to shift + scale · z: without a parameter."""

    def __init__(self, shift: float, scale: float) -> None:
        super().__init__()
        if not scale > 0:
            raise RagkitError(f"a scale of {scale}: give a standard deviation above 0")
        self.shift, self.scale = shift, scale

    def forward(self, z: Tensor) -> Tensor:
        return self.shift + self.scale * z


@dataclass(frozen=True, kw_only=True)
class Critic(Experiment):
    """Data from N(0, 1), fakes from N(shift, scale²)."""

    game: Literal["gan", "wgan", "wgan-clipped"] = "gan"
    shift: float = 1.0
    scale: float = 1.5
    width: int = 32
    penalty: float = 10.0
    clip: float = 0.3
    batch_size: int = 1024
    loop: LoopSettings = replace(LOOP, learning_rate=1e-2, max_steps=600, validate_every=600)

    def recipe(self) -> Recipe:
        made, critic = Shifted(self.shift, self.scale), Mlp([1, self.width, self.width, 1], "leaky_relu")
        models: dict[str, Adversaries] = {
            "gan": Gan(made, critic, 1),
            "wgan": Wgan(made, critic, 1, penalty=self.penalty),
            "wgan-clipped": Wgan(made, critic, 1, "notes", clip=self.clip),
        }
        return AdversarialRecipe(
            models[self.game],
            lambda count: torch.randn(count, 1),
            lambda model: {},
            turns=["critic"],
            batch_size=self.batch_size,
            betas=(0.9, 0.99),
        )

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        model = recipe.model.cpu()
        assert isinstance(model, Adversaries)
        x, best = self._best()
        with torch.no_grad():
            found = model.critic(x[:, None].float())[:, 0].double()
        draw(x, found, best if self.game == "gan" else None, out / "critic.png")
        if self.game != "gan":
            return {}
        return {"D off": float((found.sigmoid() - best).abs().max())}

    def _best(self) -> tuple[Tensor, Tensor]:
        """Points that hold 99 % of both normals, and D* at them."""
        data = torch.distributions.Normal(torch.tensor(0.0, dtype=torch.float64), 1.0)
        fakes = torch.distributions.Normal(torch.tensor(self.shift, dtype=torch.float64), self.scale)
        ends = torch.tensor([0.005, 0.995], dtype=torch.float64)
        reach = torch.stack([data.icdf(ends), fakes.icdf(ends)])
        x = torch.linspace(float(reach[:, 0].min()), float(reach[:, 1].max()), 401, dtype=torch.float64)
        return x, optimal_discriminator(data.log_prob(x), fakes.log_prob(x))


def draw(x: Tensor, found: Tensor, best: Tensor | None, file: Path) -> None:
    """The critic over the line; a discriminator beside the best one."""
    figure, (axes,) = panels()
    if best is None:
        axes.plot(x, found, label="critic f(x)")
    else:
        axes.plot(x, found.sigmoid(), label="D(x)")
        axes.plot(x, best, "--", label="D*(x) = p / (p + q)")
    axes.set(xlabel="x")
    axes.legend()
    save(figure, file)


def best_discriminator() -> dict[str, float | list[float]]:
    """Row 114: V at D* of equal densities, then trained discriminators."""
    x = torch.linspace(-12, 12, 20_001, dtype=torch.float64)
    density = torch.distributions.Normal(torch.tensor(0.0, dtype=torch.float64), 1.0).log_prob(x)
    best = optimal_discriminator(density, density)
    at_best = torch.trapezoid(density.exp() * (best.log() + (1 - best).log()), x)
    return {
        "V* + log 4": abs(float(at_best) + math.log(4)),
        "D - D*": over_seeds(Critic())["D off"],
        "D - ½ where p = q": over_seeds(Critic(shift=0.0, scale=1.0))["D off"],
    }


def tracked_distance() -> list[float]:
    """Row 118: the correlation of the critic's estimate with W = |shift|, one a seed."""
    short = replace(Critic.loop, max_steps=300, validate_every=300)
    estimates = [
        over_seeds(Critic(game="wgan", shift=shift, scale=1.0, batch_size=256, loop=short))["distance"]
        for shift in SHIFTS
    ]
    return [float(np.corrcoef(SHIFTS, of_seed)[0, 1]) for of_seed in zip(*estimates, strict=True)]
