"""Linear probes on the layers of a small CNN. Row 10."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ragkit.chapters.data import Split, digits
from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.picture import panels, save
from ragkit.chapters.tensors import TensorRecipe
from ragkit.models.basics.linear_probe import linear_probe
from ragkit.training.recipe import LoopSettings, Recipe


class DigitsCnn(nn.Module):
    """Three convolutions of 8x8 digits, the second and third halving the image; then one linear layer."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        sizes = [1, channels, 2 * channels, 4 * channels]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(sizes[k], sizes[k + 1], 3, stride=1 if k == 0 else 2, padding=1) for k in range(3)
        )
        self.classes = nn.Linear(4 * sizes[-1], 10)

    def features(self, x: Tensor) -> list[Tensor]:
        """(batch, 64) to the activations of each convolution, averaged to 2x2 cells: (batch, 4 channels)."""
        maps, found = x.view(-1, 1, 8, 8), []
        for convolution in self.convolutions:
            maps = convolution(maps).relu()
            found.append(functional.adaptive_avg_pool2d(maps, 2).flatten(1))
        return found

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.classes(self.features(x)[-1])
        return output


@dataclass(frozen=True, kw_only=True)
class Probes(Experiment):
    """Trains the CNN, then a linear classifier on each of its layers."""

    channels: int = 16
    batch_size: int = 32
    loop: LoopSettings = LoopSettings(learning_rate=3e-3, epochs=15, precision="fp32", validate_every=200)

    def recipe(self) -> Recipe:
        data = digits()
        return TensorRecipe(
            DigitsCnn(self.channels),
            (data.train_x, data.train_y),
            lambda model, x, y: functional.cross_entropy(model(x), y),
            lambda model: {"accuracy": _accuracy(model(data.test_x), data.test_y)},
            batch_size=self.batch_size,
            seed=self.loop.seed,
            best_metric="accuracy",
        )

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        assert isinstance(recipe.model, DigitsCnn)
        accuracies = [_accuracy(test, digits().test_y) for test in probed(recipe.model, digits())]
        figure, (axes,) = panels()
        axes.plot(range(1, len(accuracies) + 1), accuracies, marker="o")
        axes.set(xlabel="convolution", ylabel="accuracy of a linear probe", xticks=[1, 2, 3])
        save(figure, out / "probes.png")
        return {f"probe of layer {layer}": value for layer, value in enumerate(accuracies, 1)}


def probed(model: DigitsCnn, data: Split) -> list[Tensor]:
    """The test rows' logits by the probe of each layer."""
    with torch.no_grad():
        train, test = model.features(data.train_x), model.features(data.test_x)
    return [linear_probe(a, data.train_y, 10)(b.double()).detach() for a, b in zip(train, test, strict=True)]


def hierarchical_features() -> dict[str, float | list[float]]:
    """Row 10: our probe beside scikit-learn's on the pixels, then the layers of the CNN."""
    from sklearn.linear_model import LogisticRegression

    data = digits()
    theirs = LogisticRegression(C=1.0, tol=1e-8, max_iter=2000).fit(data.train_x.double(), data.train_y)
    ours = linear_probe(data.train_x, data.train_y, 10)(data.test_x.double()).softmax(-1).detach()
    error = (ours - torch.as_tensor(theirs.predict_proba(data.test_x.double()))).abs().max().item()
    reached = over_seeds(Probes())
    first, last = reached["probe of layer 1"], reached["probe of layer 3"]
    gained = [100 * (b - a) for a, b in zip(first, last, strict=True)]
    return {"probabilities off": error, "points gained": gained}


def _accuracy(logits: Tensor, labels: Tensor) -> float:
    return (logits.argmax(-1) == labels).double().mean().item()
