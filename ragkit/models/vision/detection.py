"""Object detection, one object: -log Pr(class | image) + Σ_corners smooth_L1(box - b̂ox). Row 56.

    smooth_L1(d) = d²/2β where |d| < β,  |d| - β/2 elsewhere
    IoU(a, b)    = area(a ∩ b) / area(a ∪ b)

(Girshick 2015, Fast R-CNN.) The notes have the heading and nothing under it. A classifier's maps serve a
second head, which places the box: the squares of row 12 near the goal, absolute values far from it so that a
wild miss does not rule the gradient. Boxes are (left, top, right, bottom) in shares of the image.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ragkit.errors import RagkitError
from ragkit.models.vision.classifier import Image, check_images, cnn


class Detection(NamedTuple):
    logits: Tensor
    """(batch, classes)."""
    boxes: Tensor
    """(batch, 4), left < right and top < bottom, all within [0, 1]."""


class Detector(nn.Module):
    """Stages of convolution and pool as in row 54, one hidden layer, a head for the class and one for the
    box."""

    def __init__(
        self, image: Image, classes: int, channels: Sequence[int] = (16, 32, 64), hidden: int = 128
    ) -> None:
        super().__init__()
        self.image, self.classes = image, classes
        self.net = cnn(image, classes + 4, channels, hidden)

    def forward(self, x: Tensor) -> Detection:
        """Images (batch, channels, rows, columns).

        Raises:
            RagkitError: if the images are of another shape.
        """
        check_images(x, self.image)
        logits, place = self.net(x).split([self.classes, 4], dim=1)
        # A corner and the share of what is left beyond it: the box can be no other than a box.
        near, share = place.sigmoid().split(2, dim=1)
        return Detection(logits, torch.cat([near, near + share * (1 - near)], dim=1))


def smooth_l1(difference: Tensor, beta: float = 0.1) -> Tensor:
    size = difference.abs()
    return torch.where(size < beta, difference**2 / (2 * beta), size - beta / 2)


def detection_loss(found: Detection, classes: Tensor, boxes: Tensor, weight: float = 1.0) -> Tensor:
    """Mean over the batch; `weight` is that of the boxes.

    Raises:
        RagkitError: if there is not one class and one box for each.
    """
    if found.boxes.shape != boxes.shape or classes.shape != boxes.shape[:1]:
        raise RagkitError(
            f"classes {tuple(classes.shape)} and boxes {tuple(boxes.shape)} for {len(found.boxes)} images: "
            f"expected one of each, boxes of 4 numbers"
        )
    misplaced = smooth_l1(found.boxes - boxes).sum(dim=1).mean()
    return functional.cross_entropy(found.logits, classes) + weight * misplaced


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes (..., 4), pair by pair: (...). 0 for two boxes without area.

    Raises:
        RagkitError: if the right of a box is left of its left, or its bottom above its top.
    """
    for boxes in (a, b):
        if boxes.shape[-1] != 4 or (boxes[..., 2:] < boxes[..., :2]).any():
            raise RagkitError("boxes: expected (left, top, right, bottom) with left ≤ right and top ≤ bottom")
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    both = (high - low).clamp(min=0).prod(dim=-1)
    union = _area(a) + _area(b) - both
    return both / union.clamp(min=torch.finfo(union.dtype).tiny)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).prod(dim=-1)
