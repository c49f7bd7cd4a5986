"""The curve of row 40, and on it a readout that gradient descent has found."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ragkit.chapters.experiment import Experiment
from ragkit.chapters.measure.errors import ITEMS, descent, noisy_digits
from ragkit.chapters.picture import panels, save
from ragkit.chapters.tensors import TensorRecipe
from ragkit.models.measure.double_descent import random_relu_features
from ragkit.training.recipe import LoopSettings, Recipe


class Readout(TensorRecipe):
    """Plain gradient descent from 0, which moves towards the solution of least norm."""

    def optimizer(self, groups: list[dict[str, Any]], learning_rate: float) -> torch.optim.Optimizer:
        return torch.optim.SGD(groups, lr=learning_rate)


@dataclass(frozen=True, kw_only=True)
class DoubleDescent(Experiment):
    """A linear readout of `width` random features by gradient descent on all items at once."""

    width: int = 4000
    loop: LoopSettings = LoopSettings(
        learning_rate=1.0,
        max_steps=3000,
        warm_up=0.0,
        weight_decay=0.0,
        max_gradient_norm=1e9,
        precision="fp32",
        validate_every=1000,
    )

    def recipe(self) -> Recipe:
        seed = self.loop.seed
        (x, y), (test_x, test_y) = noisy_digits(seed)
        features = random_relu_features(
            torch.cat([x, test_x]), self.width, torch.Generator().manual_seed(seed)
        )
        # Of largest curvature 1, so that a rate of 1 fits every width.
        features = features / (torch.linalg.matrix_norm(features[: len(x)], 2) / len(x) ** 0.5)
        train, test = features.float().split([len(x), len(test_x)])
        readout = nn.Linear(self.width, 10, bias=False)
        nn.init.zeros_(readout.weight)

        def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
            return (model(x) - functional.one_hot(y, 10)).square().sum(dim=1).mean() / 2

        def scores(model: nn.Module) -> dict[str, float]:
            wrong = model(test).argmax(dim=1) != test_y
            return {"loss": float(loss(model, train, y)), "error": wrong.double().mean().item()}

        return Readout(readout, (train, y), loss, scores, batch_size=len(x), seed=seed)

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        errors = descent(self.loop.seed)
        with torch.no_grad():
            reached = recipe.validate(recipe.model)["error"]
        figure, (axes,) = panels(width=6.0)
        axes.axvline(ITEMS, color="0.85")
        axes.semilogx(list(errors), list(errors.values()), marker="o", label="least squares of least norm")
        axes.plot([self.width], [reached], marker="*", markersize=14, linestyle="", label="gradient descent")
        axes.set(xlabel=f"random features ({ITEMS} items)", ylabel="test error", ylim=(0, None))
        axes.legend()
        save(figure, out / "double-descent.png")
        return {"peak": max(errors.values()), "widest": errors[max(errors)]}
