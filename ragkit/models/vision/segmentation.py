"""Semantic segmentation: -Σ_pixels log Pr(class of pixel | image), and mean IoU. Row 57.

A categorical likelihood (row 22) at each pixel. The network is the notes' "down, then up again to the size
of the image": convolutions and max pools that remember where their maxima stood, then max-unpools that put
values back there (row 51) and convolutions that fill in between (SegNet: Badrinarayanan et al. 2015).

    IoU of a class = pixels called so and being so / pixels called so or being so

Its mean over classes is what segmentations are compared by: the share of right pixels would be high for
background everywhere.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from ragkit.errors import RagkitError
from ragkit.models.vision.classifier import he_initialised
from ragkit.models.vision.pooling import max_pool
from ragkit.models.vision.upsampling import max_unpool


class SegNet(nn.Module):
    """Halves the image once for each of `widths`, and doubles it as often."""

    def __init__(self, channels: int, classes: int, widths: Sequence[int] = (16, 32, 64)) -> None:
        super().__init__()
        self.channels = channels
        self.down = nn.ModuleList(stage(a, b) for a, b in pairwise([channels, *widths]))
        self.up = nn.ModuleList(stage(b, a) for a, b in pairwise([widths[0], *widths]))
        self.classes = nn.Conv2d(widths[0], classes, 1)
        he_initialised(self)

    def forward(self, x: Tensor) -> Tensor:
        """Images (batch, channels, rows, columns) to logits (batch, classes, rows, columns).

        Raises:
            RagkitError: if the sizes cannot be halved that often.
        """
        check_halves(x, self.channels, len(self.down))
        places, sizes = [], []
        for down in self.down:
            x = down(x)
            sizes.append(x.shape[2:])
            x, where = max_pool(x)
            places.append(where)
        for up, where, size in zip(reversed(self.up), reversed(places), reversed(sizes), strict=True):
            x = up(max_unpool(x, where, size))
        logits: Tensor = self.classes(x)
        return logits


def stage(inputs: int, outputs: int) -> nn.Sequential:
    """3x3 convolution, batch norm, ReLU: the size stays."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())


def pixel_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """-log Pr of the classes (batch, rows, columns), mean over pixels, from logits (batch, classes, rows,
    columns).

    Raises:
        RagkitError: if there is not a class for each pixel, or one that has no logit.
    """
    check_classes(classes, logits.shape[1])
    if logits.shape[:1] + logits.shape[2:] != classes.shape:
        raise RagkitError(
            f"logits {tuple(logits.shape)} and classes {tuple(classes.shape)}: expected (batch, classes, "
            f"rows, columns) and (batch, rows, columns)"
        )
    log_probabilities = functional.log_softmax(logits, dim=1)
    return -log_probabilities.gather(1, classes[:, None]).mean()


def mean_iou(predicted: Tensor, true: Tensor, classes: int) -> float:
    """Mean of the IoUs of the classes that occur in either, over all pixels of all images."""
    check_classes(predicted, classes)
    check_classes(true, classes)
    if predicted.shape != true.shape:
        raise RagkitError(f"{tuple(predicted.shape)} predicted, {tuple(true.shape)} true: expected the same")
    pairs = torch.bincount((true * classes + predicted).flatten(), minlength=classes**2)
    confusion = pairs.view(classes, classes).double()
    both = confusion.diagonal()
    either = confusion.sum(dim=0) + confusion.sum(dim=1) - both
    return float((both[either > 0] / either[either > 0]).mean())


def check_halves(x: Tensor, channels: int, times: int) -> None:
    """
    Raises:
        RagkitError: if x is no batch of images with these channels whose sizes can be halved `times` times.
    """
    if x.ndim != 4 or x.shape[1] != channels or any(size % 2**times or not size for size in x.shape[2:]):
        raise RagkitError(
            f"input {tuple(x.shape)}: expected images (batch, {channels}, rows, columns), "
            f"rows and columns multiples of {2**times}"
        )


def check_classes(classes: Tensor, count: int) -> None:
    """
    Raises:
        RagkitError: if they are no whole numbers from 0 to count - 1.
    """
    if classes.is_floating_point() or classes.numel() == 0 or classes.min() < 0 or classes.max() >= count:
        raise RagkitError(f"classes of pixels: expected whole numbers from 0 to {count - 1}")
