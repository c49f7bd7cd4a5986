"""What the experiments on digits share: encoders, decoders, the baselines, and pictures of digits."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from ragkit.chapters.data import Split, digits
from ragkit.chapters.picture import panels, save
from ragkit.models.basics.linear_probe import linear_probe

PIXELS = 64


def binary_digits() -> Split:
    """Digits of pixels 0 and 1: on where they are at least half as bright as can be."""
    data = digits()
    return data._replace(train_x=(data.train_x >= 0.5).float(), test_x=(data.test_x >= 0.5).float())


def principal_components(train: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The mean (size,) and the first directions (count, size) of items (n, size)."""
    mean = train.mean(dim=0)
    directions = torch.linalg.svd(train - mean, full_matrices=False)[2]
    return mean, directions[:count]


def rebuilt_by_components(train: Tensor, x: Tensor, count: int) -> Tensor:
    """x (n, size) by PCA of the training items: the best linear autoencoder."""
    mean, directions = principal_components(train, count)
    return mean + (x - mean) @ directions.mT @ directions


@cache
def classifier() -> nn.Module:
    """Of binary digits, (n, 64) to logits (n, 10): a logistic regression."""
    data = binary_digits()
    return linear_probe(data.train_x, data.train_y, 10)


def class_entropies(images: Tensor) -> tuple[float, float]:
    """In nats: the mean entropy of the classifier's answers to images (n, 64), low where they look like
    digits; and the entropy of the mean answer, log 10 where all digits come as often."""
    with torch.no_grad():
        p = classifier()(images.double()).softmax(dim=-1)
    mean = p.mean(dim=0)
    return float(-torch.xlogy(p, p).sum(dim=-1).mean()), float(-torch.xlogy(mean, mean).sum())


def draw_rows(rows: Sequence[Tensor], titles: Sequence[str], file: Path) -> None:
    """Rows of digits (count, 64), one under the other."""
    figure, axes = panels(len(rows), width=0.55 * len(rows[0]), height=0.9)
    for ax, images, title in zip(axes, rows, titles, strict=True):
        ax.imshow(images.view(-1, 8, 8).permute(1, 0, 2).flatten(1), cmap="gray_r", vmin=0, vmax=1)
        ax.set(title=title, xticks=[], yticks=[])
    save(figure, file)
