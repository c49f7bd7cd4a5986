"""Forty layers on MNIST-1D, with skips and without. Row 58."""

from dataclasses import dataclass, replace

import torch
from torch.nn import functional

from ragkit.chapters.data import mnist1d
from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.tensors import TensorRecipe
from ragkit.chapters.vision.classification import accuracy
from ragkit.models.vision.residual_network import ResidualNetwork
from ragkit.training.recipe import LoopSettings, Recipe


@dataclass(frozen=True, kw_only=True)
class DeepSignals(Experiment):
    """`blocks` blocks of two linear layers each."""

    blocks: int = 20
    width: int = 64
    skip: bool = True
    normalise: bool = True
    batch_size: int = 100
    loop: LoopSettings = LoopSettings(learning_rate=1e-2, epochs=15, precision="fp32", validate_every=200)

    def recipe(self) -> Recipe:
        data = mnist1d()
        return TensorRecipe(
            ResidualNetwork(
                data.train_x.shape[1], self.width, 10, self.blocks, skip=self.skip, normalise=self.normalise
            ),
            (data.train_x, data.train_y),
            lambda model, x, y: functional.cross_entropy(model(x), y),
            lambda model: {"accuracy": accuracy(model, data.test_x, data.test_y)},
            batch_size=self.batch_size,
            seed=self.loop.seed,
            best_metric="accuracy",
        )


def resnets() -> dict[str, float | list[float]]:
    """Row 58: published sizes, then what skips are worth at forty layers."""
    from ragkit.chapters.vision.sizes import parameters
    from ragkit.models.vision.resnet import ResNet

    with torch.device("meta"):
        sizes = {depth: parameters(ResNet(depth)) for depth in (18, 50)}
    with_skips, without = (over_seeds(replace(DeepSignals(), skip=s))["accuracy"] for s in (True, False))
    return {
        "ResNet-18's parameters - 11,689,512": sizes[18] - 11_689_512,
        "ResNet-50's parameters - 25,557,032": sizes[50] - 25_557_032,
        "points gained by skips": [100 * (a - b) for a, b in zip(with_skips, without, strict=True)],
    }
