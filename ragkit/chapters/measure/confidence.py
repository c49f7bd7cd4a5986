"""Row 37: the loss rises while the error stays, as a network grows surer than it is right."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from ragkit.chapters.data import mnist1d
from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.picture import panels, save
from ragkit.chapters.tensors import TensorRecipe
from ragkit.models.basics.mlp import Mlp
from ragkit.models.measure.temperature import fit_temperature
from ragkit.training.recipe import LoopSettings, Recipe


@dataclass(frozen=True, kw_only=True)
class LearningCurve(Experiment):
    """An MLP on MNIST-1D without any regularisation, validated on the test part as it learns."""

    width: int = 100
    batch_size: int = 100
    loop: LoopSettings = LoopSettings(
        learning_rate=3e-3, epochs=50, weight_decay=0.0, precision="fp32", validate_every=40
    )

    def recipe(self) -> Recipe:
        data = mnist1d()

        def scores(model: torch.nn.Module) -> dict[str, float]:
            logits = model(data.test_x)
            wrong = (logits.argmax(-1) != data.test_y).double().mean()
            return {"loss": float(functional.cross_entropy(logits, data.test_y)), "error": float(wrong)}

        return TensorRecipe(
            Mlp([40, self.width, self.width, 10]),
            (data.train_x, data.train_y),
            lambda model, x, y: functional.cross_entropy(model(x), y),
            scores,
            batch_size=self.batch_size,
            seed=self.loop.seed,
        )

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        events = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
        curve = [event for event in events if event["event"] == "validate"]
        draw(curve, out / "learning-curve.png")
        losses, errors = ([event[name] for event in curve] for name in ("loss", "error"))
        with torch.no_grad():
            logits = recipe.model(mnist1d().test_x)
        return {
            "final loss / lowest": losses[-1] / min(losses),
            "points of error above the lowest": 100 * (errors[-1] - min(errors)),
        } | calibrated(logits, mnist1d().test_y)


def calibrated(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """T fitted on every second item, and what it saves on the others."""
    temperature = fit_temperature(logits[::2], labels[::2])
    before = functional.cross_entropy(logits[1::2], labels[1::2])
    after = functional.cross_entropy(logits[1::2] / temperature, labels[1::2])
    return {"temperature": temperature, "nats saved by temperature": float(before - after)}


def draw(curve: list[dict[str, float]], file: Path) -> None:
    figure, axes = panels(2)
    for axis, name in zip(axes, ("error", "loss"), strict=True):
        axis.plot([event["step"] for event in curve], [event[name] for event in curve])
        axis.set(xlabel="step", ylabel=f"test {name}", ylim=(0, None))
    save(figure, file)


def learning_curve() -> dict[str, float | list[float]]:
    from sklearn.metrics import log_loss

    data, generator = mnist1d(), torch.Generator().manual_seed(0)
    logits = torch.randn(len(data.test_y), 10, generator=generator, dtype=torch.float64)
    theirs = log_loss(data.test_y, logits.softmax(-1), labels=range(10))
    reached = over_seeds(LearningCurve())
    return {
        "log loss off": abs(float(functional.cross_entropy(logits, data.test_y)) - theirs),
        **{
            name: reached[name]
            for name in (
                "final loss / lowest", "points of error above the lowest", "nats saved by temperature"
            )
        },
    }  # fmt: skip
