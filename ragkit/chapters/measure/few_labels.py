"""Row 44: digits from 100 labels, with and without shifts and turns."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from ragkit.chapters.basics.probes import DigitsCnn
from ragkit.chapters.data import digits
from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.tensors import TensorRecipe
from ragkit.models.measure.augmentation import shift_and_rotate
from ragkit.training.recipe import LoopSettings, Recipe


@dataclass(frozen=True, kw_only=True)
class FewLabels(Experiment):
    """A small CNN; each image is moved by up to `shift` pixels and turned by up to `degrees` whenever it is
    shown (0 and 0: as it is)."""

    labels: int = 100
    shift: float = 1.0
    degrees: float = 15.0
    channels: int = 16
    batch_size: int = 50
    loop: LoopSettings = LoopSettings(
        learning_rate=3e-3, max_steps=600, precision="fp32", validate_every=300, log_every=100
    )

    def recipe(self) -> Recipe:
        data = digits()
        chosen = torch.randperm(len(data.train_y), generator=torch.Generator().manual_seed(self.loop.seed))[
            : self.labels
        ]

        def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
            if self.shift or self.degrees:
                x = shift_and_rotate(x.view(-1, 1, 8, 8), self.shift, self.degrees).flatten(1)
            return functional.cross_entropy(model(x), y)

        def accuracy(model: nn.Module) -> dict[str, float]:
            right = model(data.test_x).argmax(-1) == data.test_y
            return {"accuracy": right.double().mean().item()}

        return TensorRecipe(
            DigitsCnn(self.channels),
            (data.train_x[chosen], data.train_y[chosen]),
            loss,
            accuracy,
            batch_size=self.batch_size,
            seed=self.loop.seed,
            best_metric="accuracy",
        )


def augmentation() -> dict[str, list[float]]:
    changed = FewLabels()
    plain = over_seeds(replace(changed, shift=0.0, degrees=0.0))["accuracy"]
    return {
        "points gained": [100 * (b - a) for a, b in zip(plain, over_seeds(changed)["accuracy"], strict=True)]
    }
