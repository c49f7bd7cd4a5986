"""Eight Gaussians on a ring: who covers them all, and who stays with one. Rows 116, 118."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.generative.adversarial import LOOP, AdversarialRecipe
from ragkit.chapters.generative.critic import tracked_distance
from ragkit.chapters.picture import panels, save
from ragkit.models.basics.mlp import Mlp
from ragkit.models.generative.adversaries import Adversaries, turns
from ragkit.models.generative.gan import Gan
from ragkit.models.generative.mode_coverage import Coverage, mode_coverage
from ragkit.models.generative.wgan import Wgan
from ragkit.training.curves import read_log
from ragkit.training.recipe import LoopSettings, Recipe

MODES, RADIUS, DEVIATION = 8, 2.0, 0.1
NEAR = 3 * DEVIATION
SAMPLES = 2000

Game = Literal["non-saturating", "saturating", "wgan", "wgan-clipped"]


def centres() -> Tensor:
    """(8, 2), evenly on a circle of radius 2."""
    angles = torch.arange(MODES) * (2 * math.pi / MODES)
    return RADIUS * torch.stack([angles.cos(), angles.sin()], dim=1)


def ring(count: int) -> Tensor:
    """Items of the ring, (count, 2), each mode as likely."""
    modes = torch.randint(MODES, (count,))
    return centres()[modes] + DEVIATION * torch.randn(count, 2)


def covered(model: Adversaries) -> Coverage:
    with torch.no_grad():
        return mode_coverage(model.fakes(SAMPLES).cpu(), centres(), NEAR)


@dataclass(frozen=True, kw_only=True)
class Ring(Experiment):
    """A GAN by either loss of its generator, or a Wasserstein GAN, its critic penalised or clipped.

    `critic_rate` scales the critic's learning rate; `momentum` is Adam's β₁.
    """

    game: Game = "wgan"
    width: int = 64
    latent: int = 2
    critic_steps: int = 3
    critic_rate: float = 1.0
    momentum: float = 0.0
    penalty: float = 1.0
    clip: float = 0.3
    batch_size: int = 128
    loop: LoopSettings = LOOP

    def recipe(self) -> Recipe:
        generator = Mlp([self.latent, self.width, self.width, 2], "leaky_relu")
        critic = Mlp([2, self.width, self.width, 1], "leaky_relu")

        def scores(model: Adversaries) -> dict[str, float]:
            found = covered(model)
            return {"modes": float(found.modes), "good": found.good}

        return AdversarialRecipe(
            self._game(generator, critic),
            ring,
            scores,
            turns=turns(self.critic_steps),
            batch_size=self.batch_size,
            critic_rate=self.critic_rate,
            betas=(self.momentum, 0.9),
        )

    def _game(self, generator: Mlp, critic: Mlp) -> Adversaries:
        if self.game == "wgan":
            return Wgan(generator, critic, self.latent, penalty=self.penalty)
        if self.game == "wgan-clipped":
            return Wgan(generator, critic, self.latent, "notes", clip=self.clip)
        return Gan(generator, critic, self.latent, self.game)

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        model = recipe.model.cpu()
        assert isinstance(model, Adversaries)
        curve = [event for event in read_log(out / "log.jsonl") if event["event"] == "validate"]
        with torch.no_grad():
            samples = model.fakes(SAMPLES)
        draw(samples, curve, out / "ring.png")
        return {"variance / the ring's": float(samples.var(dim=0).sum() / (RADIUS**2 + 2 * DEVIATION**2))}


COLLAPSING = Ring(
    game="non-saturating",
    latent=16,
    critic_steps=1,
    critic_rate=0.05,
    momentum=0.9,
    loop=replace(LOOP, max_steps=400, validate_every=100),
)
"""The generator learns twenty times as fast as its discriminator, which to it stands almost still."""


def draw(samples: Tensor, curve: list[dict[str, float]], file: Path) -> None:
    """Samples over the ring; on the way there, what the critic makes of them and the modes they reach."""
    figure, (plane, distance, modes) = panels(3, width=3.6)
    plane.scatter(*ring(SAMPLES).unbind(dim=1), s=3, color="tab:gray", label="data")
    plane.scatter(*samples.unbind(dim=1), s=3, color="tab:red", label="generator")
    plane.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal")
    plane.legend(loc="center", fontsize=7)
    for axes, name, title in ((distance, "distance", "critic's distance"), (modes, "modes", "modes of 8")):
        axes.plot([event["step"] for event in curve], [event[name] for event in curve])
        axes.set(xlabel="updates", ylabel=title, ylim=(0, None))
    save(figure, file)


def planted_off() -> int:
    """Modes counted too many or few where only some are sampled, beside noise that reaches none."""
    wrong, generator = 0, torch.Generator().manual_seed(0)
    for planted in range(MODES + 1):
        kept = centres()[torch.randperm(MODES, generator=generator)[:planted]]
        samples = kept.repeat_interleave(50, dim=0)
        samples = samples + DEVIATION / 2 * torch.randn(samples.shape, generator=generator)
        afar = 10 + torch.randn(100, 2, generator=generator)
        wrong += abs(mode_coverage(torch.cat([samples, afar]), centres(), NEAR).modes - planted)
    return wrong


def mode_collapse() -> dict[str, float | list[float]]:
    """Row 116: modes planted; then a GAN that collapses, and the variance of its samples, which says without
    counting modes that they are gone."""
    reached = over_seeds(COLLAPSING, seeds=(1,))
    return {
        "planted modes miscounted": planted_off(),
        "modes kept by a GAN, seed 1": reached["modes"],
        "variance / the ring's": reached["variance / the ring's"],
    }


def wasserstein_gan() -> dict[str, float | list[float]]:
    """Row 118."""
    penalised, clipped = (over_seeds(Ring(game=game)) for game in ("wgan", "wgan-clipped"))
    return {
        "correlation with W": tracked_distance(),
        "modes, penalty": penalised["modes"],
        "good samples, penalty": penalised["good"],
        "modes, clipping": clipped["modes"],
    }
