"""Scenes drawn here: a digit on a canvas, and shapes with the class of each pixel; the same for a seed."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

SIDE = 32
SHAPES = ("background", "disc", "ring", "square", "frame", "cross")
"""Classes of the pixels. Ring, frame and cross are thin: a map that has lost its detail cannot draw them."""


class Digits(NamedTuple):
    images: Tensor
    """(items, 1, 32, 32) in [0, 1]."""
    boxes: Tensor
    """(items, 4): left, top, right, bottom of the ink, in shares of the canvas."""
    labels: Tensor


class Shapes(NamedTuple):
    images: Tensor
    """(items, 1, 32, 32), about 0 to 1, with noise."""
    classes: Tensor
    """(items, 32, 32), numbers of `SHAPES`."""


def digits_on_canvas(digits: Tensor, labels: Tensor, copies: int, seed: int) -> Digits:
    """Each digit (64,) of 8x8 pixels `copies` times, 10 to 20 pixels high, anywhere, on a noisy canvas."""
    random = np.random.default_rng(seed)
    images, boxes = [], []
    for digit in digits.repeat(copies, 1):
        size = int(random.integers(10, 21))
        large = functional.interpolate(digit.view(1, 1, 8, 8), size=(size, size), mode="bilinear")[0, 0]
        left, top = random.integers(0, SIDE - size + 1, 2).tolist()
        canvas = torch.as_tensor(0.2 * random.random((SIDE, SIDE)), dtype=torch.float32)
        canvas[top : top + size, left : left + size] += 0.8 * large
        rows, columns = ((large > 0.25).any(dim=axis).nonzero()[:, 0] for axis in (1, 0))
        boxes.append([left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1])
        images.append(canvas)
    return Digits(torch.stack(images)[:, None], torch.tensor(boxes) / SIDE, labels.repeat(copies))


def shapes(count: int, seed: int) -> Shapes:
    """One to three shapes an image, the later ones over the earlier, of any brightness."""
    random = np.random.default_rng(seed)
    images = np.zeros((count, SIDE, SIDE), dtype=np.float32)
    classes = np.zeros((count, SIDE, SIDE), dtype=np.int64)
    for image, mask in zip(images, classes, strict=True):
        for _ in range(random.integers(1, 4)):
            kind = int(random.integers(1, len(SHAPES)))
            drawn = _drawn(SHAPES[kind], random)
            image[drawn], mask[drawn] = random.uniform(0.5, 1.0), kind
        image += 0.1 * random.standard_normal(image.shape)
    return Shapes(torch.as_tensor(images)[:, None], torch.as_tensor(classes))


def _drawn(shape: str, random: np.random.Generator) -> NDArray[np.bool_]:
    """Which pixels a shape of random size and place covers."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    reach = random.integers(4, 8)
    x, y = columns - random.integers(reach, SIDE - reach), rows - random.integers(reach, SIDE - reach)
    across, along = np.maximum(abs(x), abs(y)), np.hypot(x, y)
    match shape:
        case "disc":
            return along <= reach
        case "ring":
            return (along <= reach) & (along > reach - 2)
        case "square":
            return across <= reach
        case "frame":
            return (across <= reach) & (across > reach - 2)
    return (np.minimum(abs(x), abs(y)) <= 1) & (across <= reach)
