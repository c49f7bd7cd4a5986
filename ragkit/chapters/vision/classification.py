"""A CNN on small images, and what its units see. Rows 49, 54."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.picture import panels, save
from ragkit.chapters.tensors import TensorRecipe
from ragkit.chapters.vision.images import images
from ragkit.models.vision.classifier import Image, ImageClassifier, cnn
from ragkit.models.vision.receptive_field import gradient_map, receptive_field, windows
from ragkit.training.recipe import LoopSettings, Recipe


@dataclass(frozen=True, kw_only=True)
class ImageCnn(Experiment):
    """Two stages of convolution and pool, the second with twice the channels, and one hidden layer; `data` is
    digits, mnist10k, fashion_mnist, or hf:NAME of the hub."""

    data: str = "digits"
    channels: int = 32
    hidden: int = 128
    batch_size: int = 32
    loop: LoopSettings = LoopSettings(learning_rate=3e-3, epochs=15, precision="fp32", validate_every=200)

    def recipe(self) -> Recipe:
        data = images(self.data)
        channels, rows, columns = data.train_x.shape[1:]
        classes = int(data.train_y.max()) + 1
        return TensorRecipe(
            cnn(Image(channels, rows, columns), classes, (self.channels, 2 * self.channels), self.hidden),
            (data.train_x, data.train_y),
            lambda model, x, y: functional.cross_entropy(model(x), y),
            lambda model: {"accuracy": accuracy(model, data.test_x, data.test_y)},
            batch_size=self.batch_size,
            seed=self.loop.seed,
            best_metric="accuracy",
        )

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        assert isinstance(recipe.model, ImageClassifier)
        draw_fields(recipe.model, images(self.data).test_x[:1], out / "receptive-fields.png")
        return {}


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """The share of right classes, a thousand images at a time."""
    right = [model(a).argmax(-1) == b for a, b in zip(x.split(1000), y.split(1000), strict=True)]
    return torch.cat(right).double().mean().item()


def draw_fields(net: ImageClassifier, image: Tensor, file: Path) -> None:
    """What the middle unit of each layer that looks at neighbours sees of an image (1, channels, rows,
    columns): the gradient as shade, the field by the formula as a frame."""
    layers = list(net.features.cpu())
    looking = [number for number, layer in enumerate(layers, 1) if not isinstance(layer, nn.ReLU)]
    figure, axes = panels(len(looking) + 1, width=2.6, height=2.8)
    axes[0].imshow(image[0].mean(dim=0), cmap="gray")
    axes[0].set_title("image")
    for ax, end in zip(axes[1:], looking, strict=True):
        part = nn.Sequential(*layers[:end])
        middle = part(image).shape[-1] // 2
        field = receptive_field(windows(layers[:end]))
        ax.imshow(gradient_map(part, image, (middle, middle)), cmap="Greys")
        first, last = field.span(middle)
        ax.plot(
            [first - 0.5, last + 0.5, last + 0.5, first - 0.5, first - 0.5],
            [first - 0.5, first - 0.5, last + 0.5, last + 0.5, first - 0.5],
            color="tab:red",
        )
        name = "pool" if isinstance(layers[end - 1], nn.MaxPool2d) else "convolution"
        ax.set(
            title=f"{name}: {field.size}x{field.size}",
            xlim=(-0.5, image.shape[-1] - 0.5),
            ylim=(image.shape[-2] - 0.5, -0.5),
        )
    for ax in axes:
        ax.set(xticks=[], yticks=[])
    save(figure, file)


def cnn_classifier() -> dict[str, list[float]]:
    """Row 54."""
    return {"accuracy": over_seeds(ImageCnn())["accuracy"]}
