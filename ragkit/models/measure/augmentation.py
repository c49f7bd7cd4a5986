"""Data augmentation: changes of the training items that leave their labels as they are. Row 44.

The notes name no change. Which ones keep the label depends on the data: a digit stays itself when shifted by
a pixel or turned by ten degrees, a 6 turned by 180 does not. For texts see `training.adaptation.views`:
crops and deleted words.
"""

import torch
from torch import Tensor
from torch.nn import functional


def shift_and_rotate(
    images: Tensor, shift: float, degrees: float, generator: torch.Generator | None = None
) -> Tensor:
    """Each image (batch, channels, height, width) moved by up to `shift` pixels in both directions and
    turned by up to `degrees` about its centre, drawn evenly."""
    drawn = torch.rand(3, len(images), generator=generator, dtype=images.dtype) * 2 - 1
    return moved(images, drawn[0] * shift, drawn[1] * shift, drawn[2] * degrees)


def moved(images: Tensor, right: Tensor, down: Tensor, degrees: Tensor) -> Tensor:
    """Images (batch, channels, height, width), each turned clockwise and then moved by its own numbers of
    degrees and pixels, (batch,); bilinear, 0 from outside."""
    height, width = images.shape[-2:]
    angle = degrees * torch.pi / 180
    cos, sin = angle.cos(), angle.sin()
    # Where each pixel comes from. affine_grid's coordinates run from -1 to 1: 2 / width is a pixel.
    x, y = -right * 2 / width, -down * 2 / height
    across, along = sin * height / width, -sin * width / height
    maps = torch.stack([cos, across, cos * x + across * y, along, cos, along * x + cos * y], dim=1)
    grid = functional.affine_grid(maps.view(-1, 2, 3), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="zeros", align_corners=False)
