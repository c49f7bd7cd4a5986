"""What the experiments of chapter 5 share: digits without labels, views of them, an encoder, a probe."""

import torch
from torch import Tensor, nn

from ragkit.chapters.data import Split, digits
from ragkit.models.basics.linear_probe import linear_probe
from ragkit.models.measure.augmentation import shift_and_rotate

LABELS = 50
"""That a probe learns from, five of each digit."""
VECTOR = 256


class DigitsEncoder(nn.Module):
    """Three convolutions of 8x8 digits, (batch, 1, 8, 8) to (batch, 256)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        vectors: Tensor = self.layers(images)
        return vectors


def images() -> Split:
    """scikit-learn's digits as images, (items, 1, 8, 8)."""
    data = digits()
    return data._replace(train_x=data.train_x.view(-1, 1, 8, 8), test_x=data.test_x.view(-1, 1, 8, 8))


def view(x: Tensor, strength: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """The images shifted by up to a pixel, turned by up to 20 degrees, with other contrast and some noise;
    all of it times `strength`."""
    changed = shift_and_rotate(x, strength, 20 * strength, generator)
    contrast = torch.rand(len(x), 1, 1, 1, generator=generator) - 0.5
    noise = torch.randn(x.shape, generator=generator)
    return changed * (1 + strength * contrast) + 0.1 * strength * noise


def few_labels(labels: Tensor, count: int, seed: int) -> Tensor:
    """Places of `count` items, as many of each class."""
    generator = torch.Generator().manual_seed(seed)
    classes = labels.unique()
    order = torch.randperm(len(labels), generator=generator)
    return torch.cat([order[labels[order] == c][: count // len(classes)] for c in classes])


def probe_accuracy(train: Tensor, test: Tensor, data: Split, seed: int, count: int = LABELS) -> float:
    """Of a linear probe that learns from `count` labels of vectors (items, size), which are standardised."""
    mean, deviation = train.mean(dim=0), train.std(dim=0) + 1e-6
    train, test = (train - mean) / deviation, (test - mean) / deviation
    chosen = few_labels(data.train_y, count, seed)
    probe = linear_probe(train[chosen], data.train_y[chosen], 10)
    return (probe(test.double()).argmax(-1) == data.test_y).double().mean().item()


@torch.no_grad()
def vectors(encoder: nn.Module, data: Split) -> tuple[Tensor, Tensor]:
    """Of the training and the test images."""
    encoder.eval()
    return encoder(data.train_x), encoder(data.test_x)
