"""Shapes told apart pixel by pixel. Rows 57, 61."""

from abc import abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.picture import panels, save
from ragkit.chapters.tensors import TensorRecipe
from ragkit.chapters.vision.scenes import SHAPES, shapes
from ragkit.models.vision.segmentation import SegNet, mean_iou, pixel_loss
from ragkit.models.vision.u_net import Skip, UNet
from ragkit.training.recipe import LoopSettings, Recipe

LOOP = LoopSettings(learning_rate=6e-3, epochs=5, precision="fp32", validate_every=125)


@dataclass(frozen=True, kw_only=True)
class ShapeSegmentation(Experiment):
    """Trains on `items` images, and tests on 200 others."""

    items: int = 4000
    width: int = 16
    batch_size: int = 32
    loop: LoopSettings = LOOP

    @abstractmethod
    def network(self) -> nn.Module:
        """From images (batch, 1, rows, columns) to logits (batch, classes, rows, columns)."""

    def recipe(self) -> Recipe:
        train, test = shapes(self.items, seed=1), shapes(200, seed=0)
        return TensorRecipe(
            self.network(),
            (train.images, train.classes),
            lambda model, x, y: pixel_loss(model(x), y),
            lambda model: {"mIoU": mean_iou(segmented(model, test.images), test.classes, len(SHAPES))},
            batch_size=self.batch_size,
            seed=self.loop.seed,
            best_metric="mIoU",
        )

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        draw(recipe.model.cpu(), out / "masks.png")
        return {}


@dataclass(frozen=True, kw_only=True)
class ShapesSegNet(ShapeSegmentation):
    """Down by max pools, up by max-unpools."""

    def network(self) -> nn.Module:
        return SegNet(1, len(SHAPES), (self.width, 2 * self.width, 4 * self.width))


@dataclass(frozen=True, kw_only=True)
class ShapesUNet(ShapeSegmentation):
    """Down by max pools, up by transposed convolutions, with skips from level to level or none."""

    skip: Skip = "concat"
    width: int = 8
    loop: LoopSettings = replace(LOOP, epochs=4)

    def network(self) -> nn.Module:
        return UNet(1, len(SHAPES), [self.width << level for level in range(4)], self.skip)


def segmented(model: nn.Module, images: Tensor) -> Tensor:
    """The most probable class of each pixel, (items, rows, columns)."""
    with torch.no_grad():
        return torch.cat([model(part).argmax(dim=1) for part in images.split(100)])


def draw(model: nn.Module, file: Path, count: int = 3) -> None:
    """Images beside their true classes and those found."""
    test = shapes(200, seed=0)
    found = segmented(model, test.images[:count])
    figure, axes = panels(3 * count, width=1.4, height=1.7)
    for number in range(count):
        image, true, guess = axes[3 * number : 3 * number + 3]
        image.imshow(test.images[number, 0], cmap="gray")
        for ax, classes in ((true, test.classes[number]), (guess, found[number])):
            ax.imshow(classes, cmap="tab10", vmin=0, vmax=9, interpolation="nearest")
        for ax, title in ((image, "image"), (true, "true"), (guess, "found")):
            ax.set(title=title, xticks=[], yticks=[])
    save(figure, file)


def semantic_segmentation() -> dict[str, float | list[float]]:
    """Row 57: loss and score against torch and scikit-learn, then the trained network."""
    from sklearn.metrics import jaccard_score
    from torch.nn import functional

    torch.manual_seed(0)
    logits = torch.randn(3, 5, 8, 7, dtype=torch.float64)
    true, guess = torch.randint(5, (3, 8, 7)), logits.argmax(dim=1)
    loss = functional.cross_entropy(logits, true)
    theirs = jaccard_score(true.flatten(), guess.flatten(), average="macro")
    return {
        "loss - CrossEntropyLoss": abs(float(pixel_loss(logits, true) - loss)),
        "mIoU - scikit-learn's": abs(mean_iou(guess, true, 5) - theirs),
        "mIoU": over_seeds(ShapesSegNet())["mIoU"],
    }


def u_net() -> dict[str, float | list[float]]:
    """Row 61: the paper's size, then what skips are worth."""
    from ragkit.chapters.vision.sizes import parameters

    with torch.device("meta"):
        size = parameters(UNet(1, 1))
    joined, without = (over_seeds(replace(ShapesUNet(), skip=s))["mIoU"] for s in ("concat", "none"))
    return {
        "parameters - 31,030,593": size - 31_030_593,
        "points gained by skips": [100 * (a - b) for a, b in zip(joined, without, strict=True)],
    }
