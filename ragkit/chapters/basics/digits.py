"""Digits with an MLP, shallow or deep. Row 8."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from ragkit.chapters.data import digits
from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.tensors import TensorRecipe
from ragkit.models.basics.mlp import Mlp
from ragkit.training.recipe import LoopSettings, Recipe


@dataclass(frozen=True, kw_only=True)
class DigitsMlp(Experiment):
    """`layers` hidden layers of `width` units; 1 is the shallow network."""

    layers: int = 2
    width: int = 128
    batch_size: int = 32
    activation: str = "relu"
    loop: LoopSettings = LoopSettings(learning_rate=3e-3, epochs=15, precision="fp32", validate_every=200)

    def recipe(self) -> Recipe:
        data = digits()

        def accuracy(model: nn.Module) -> dict[str, float]:
            right = model(data.test_x).argmax(-1) == data.test_y
            return {"accuracy": right.float().mean().item()}

        return TensorRecipe(
            Mlp([64, *[self.width] * self.layers, 10], self.activation),
            (data.train_x, data.train_y),
            lambda model, x, y: functional.cross_entropy(model(x), y),
            accuracy,
            batch_size=self.batch_size,
            seed=self.loop.seed,
            best_metric="accuracy",
        )


def accuracy_on_digits() -> dict[str, list[float]]:
    return over_seeds(DigitsMlp())


def folded_regions() -> float:
    """Pieces too many or too few of tent networks of 1 to 10 layers, which have 2^K."""
    from ragkit.models.basics.mlp import tent

    wrong = 0.0
    for layers in range(1, 11):
        grid = torch.linspace(0, 1, 2**layers * 8 + 1, dtype=torch.float64)[:, None]
        slopes = tent(layers)(grid).detach().diff(dim=0).sign().flatten()
        wrong += abs(int((slopes.diff() != 0).sum()) + 1 - 2**layers)
    return wrong


def deep_mlp() -> dict[str, float | list[float]]:
    """Row 8."""
    return {"regions off": folded_regions(), "accuracy": accuracy_on_digits()["accuracy"]}
