"""Row 158: MAML on sinusoids and on characters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional

from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.meta.episodes import EpisodeRecipe
from ragkit.chapters.meta.omniglot import Task, characters, tasks
from ragkit.chapters.picture import panels, save
from ragkit.models.meta.conv_encoder import ConvEncoder
from ragkit.models.meta.episodes import EpisodeSampler
from ragkit.models.meta.maml import Parameters, adapted
from ragkit.training.recipe import LoopSettings, Recipe

SHOTS, ASKED = 5, 10
TESTED = 1000


class Sinusoids(NamedTuple):
    """Tasks y = a sin(x - b), a in [0.1, 5], b in [0, π], x in [-5, 5] (Finn et al. 2017, section 5.1):
    (tasks, points, 1) of the support's x and y, then of the points asked for."""

    support: Tensor
    values: Tensor
    query: Tensor
    wanted: Tensor


def sinusoids(count: int, generator: torch.Generator, asked: int = ASKED) -> Sinusoids:
    amplitude = 0.1 + 4.9 * torch.rand(count, 1, 1, generator=generator)
    phase = torch.pi * torch.rand(count, 1, 1, generator=generator)
    x = 10 * torch.rand(count, SHOTS + asked, 1, generator=generator) - 5
    y = amplitude * torch.sin(x - phase)
    return Sinusoids(x[:, :SHOTS], y[:, :SHOTS], x[:, SHOTS:], y[:, SHOTS:])


def tested() -> Sinusoids:
    return sinusoids(TESTED, torch.Generator().manual_seed(1), asked=50)


class SinusoidRecipe(Recipe):
    """A step is one outer step on a batch of tasks, all of which take their inner steps at once."""

    def __init__(self, experiment: "Sinusoid") -> None:
        self.model = nn.Sequential(
            nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 1)
        )
        self._experiment = experiment

    def batches(self, epoch: int) -> Sequence[Sinusoids]:
        generator = torch.Generator().manual_seed(self._experiment.loop.seed * 1_000_003 + epoch)
        return [sinusoids(self._experiment.batch_size, generator) for _ in range(100)]

    def step(self, model: nn.Module, batch: Sinusoids) -> Mapping[str, Tensor]:
        rate, steps, first_order = (
            self._experiment.inner_rate, self._experiment.inner_steps, self._experiment.first_order,
        )  # fmt: skip
        return {"loss": losses_after(model, batch, rate, steps, first_order).mean()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        steps = max(1, self._experiment.inner_steps)
        return {"loss": float(losses_after(model, tested(), self._experiment.inner_rate, steps).mean())}


@dataclass(frozen=True, kw_only=True)
class Sinusoid(Experiment):
    """Regression of sinusoids from five points. `inner_steps=0` trains one network on all tasks at once."""

    inner_rate: float = 0.01
    inner_steps: int = 1
    first_order: bool = False
    batch_size: int = 25
    loop: LoopSettings = LoopSettings(
        learning_rate=2e-3, max_steps=3500, weight_decay=0.0, precision="fp32", validate_every=3500
    )

    def recipe(self) -> Recipe:
        return SinusoidRecipe(self)

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        draw(recipe.model, self.inner_rate, out / "sinusoid.png")
        after = (losses_after(recipe.model, tested(), self.inner_rate, steps) for steps in (0, 1, 5))
        zero, one, five = (float(losses.detach().mean()) for losses in after)
        return {"error before": zero, "error after 1 step": one, "error after 5 steps": five}


def losses_after(
    model: nn.Module, data: Sinusoids, rate: float, steps: int, first_order: bool = False
) -> Tensor:
    """The squared error of each task on what is asked for after its inner steps, (tasks,)."""
    parameters = dict(model.named_parameters())
    device = next(model.parameters()).device

    def error(of: Parameters, x: Tensor, y: Tensor) -> Tensor:
        return functional.mse_loss(functional_call(model, dict(of), (x,)), y)

    def task(x: Tensor, y: Tensor, query: Tensor, wanted: Tensor) -> Tensor:
        own = adapted(lambda of: error(of, x, y), parameters, rate, steps, first_order)
        return error(own, query, wanted)

    losses: Tensor = vmap(task)(*(tensor.to(device) for tensor in data))
    return losses


def draw(model: nn.Module, rate: float, file: Path) -> None:
    """Three unseen sinusoids, their five points, and the network before and after inner steps."""
    device = next(model.parameters()).device
    parameters = dict(model.named_parameters())
    data, grid = tested(), torch.linspace(-5, 5, 200)[:, None]
    figure, axes = panels(3, width=4.0)
    for place, ax in enumerate(axes):
        x, y = (part[place].to(device) for part in (data.support, data.values))
        order = data.query[place, :, 0].argsort()
        ax.plot(*(part[place, order, 0].numpy() for part in (data.query, data.wanted)), "k", label="function")
        ax.plot(x.cpu().numpy(), y.cpu().numpy(), "ko")

        def error(of: Parameters, x: Tensor = x, y: Tensor = y) -> Tensor:
            return functional.mse_loss(functional_call(model, dict(of), (x,)), y)

        for steps, style in ((0, ":"), (1, "--"), (5, "-")):
            own = adapted(error, parameters, rate, steps)
            values = functional_call(model, dict(own), (grid.to(device),)).detach().cpu()
            ax.plot(grid.numpy(), values.numpy(), style, label=f"after {steps} steps")
        ax.set(xlabel="x")
    axes[0].legend()
    save(figure, file)


@dataclass(frozen=True, kw_only=True)
class MamlCharacters(Experiment):
    """Five characters from `shots` drawings of each, by inner steps from a common start."""

    shots: int = 1
    queries: int = 5
    channels: int = 32
    inner_rate: float = 0.4
    inner_steps: int = 1
    first_order: bool = False
    batch_size: int = 4
    loop: LoopSettings = LoopSettings(
        learning_rate=3e-3, max_steps=600, precision="fp32", validate_every=600, log_every=50
    )

    def recipe(self) -> Recipe:
        train, test = characters()
        encoder = ConvEncoder(self.channels, 3, running=False)
        held_out = tasks(test, 200, shots=self.shots)

        def loss(model: nn.Module, task: Task) -> Tensor:
            return functional.cross_entropy(self.logits(model, task, self.inner_steps), task.query_labels)

        return EpisodeRecipe(
            nn.Sequential(encoder, nn.Linear(self.channels, 5)),
            train,
            EpisodeSampler(train.labels, 5, self.shots, self.queries),
            loss,
            lambda model: {"accuracy": self.accuracy(model, held_out, max(1, self.inner_steps))},
            self.loop.seed,
            tasks=self.batch_size,
        )

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        held_out = tasks(characters()[1], 200, shots=self.shots)
        return {
            f"accuracy after {steps} steps": self.accuracy(recipe.model, held_out, steps)
            for steps in (0, 1, 3)
        }

    def logits(self, model: nn.Module, task: Task, steps: int) -> Tensor:
        """Of the queries, (queries, 5), after inner steps on the support."""

        def error(of: Parameters) -> Tensor:
            found = functional_call(model, dict(of), (task.support,))
            return functional.cross_entropy(found, task.labels)

        own = adapted(error, dict(model.named_parameters()), self.inner_rate, steps, self.first_order)
        logits: Tensor = functional_call(model, dict(own), (task.query,))
        return logits

    def accuracy(self, model: nn.Module, held_out: list[Task], steps: int) -> float:
        device = next(model.parameters()).device
        right = [
            self.logits(model, task, steps).argmax(dim=1) == task.query_labels
            for task in (task.to(device) for task in held_out)
        ]
        return torch.cat(right).double().mean().item()


def maml() -> dict[str, float | list[float]]:
    """Row 158; on a quadratic the outer gradient is (I - αA) B (I - αA) θ."""
    torch.manual_seed(0)
    a, b = (m @ m.mT for m in torch.randn(2, 5, 5, dtype=torch.float64))
    theta = torch.randn(5, dtype=torch.float64, requires_grad=True)
    inner = torch.eye(5, dtype=torch.float64) - 0.05 * a
    off = []
    for first_order, factor in ((False, inner), (True, torch.eye(5, dtype=torch.float64))):
        own = adapted(lambda of: of["θ"] @ a @ of["θ"] / 2, {"θ": theta}, 0.05, 1, first_order)["θ"]
        (gradient,) = torch.autograd.grad(own @ b @ own / 2, theta)
        off.append(float((gradient - factor @ b @ inner @ theta).abs().max().detach()))
    ours, joint = over_seeds(Sinusoid()), over_seeds(replace(Sinusoid(), inner_steps=0))
    drawn = over_seeds(MamlCharacters())
    one = "error after 1 step"
    return {
        "error": max(off),
        "sinusoids: error / jointly trained": [x / y for x, y in zip(ours[one], joint[one], strict=True)],
        "characters after 1 step": drawn["accuracy after 1 steps"],
    }
