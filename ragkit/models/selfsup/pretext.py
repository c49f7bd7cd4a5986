"""Pretext tasks: labels made from the images themselves. Rows 68, 69.

The notes name the games and no rules. Rotation (Gidaris et al. 2018): which of four quarter turns was made?
Jigsaw (Noroozi and Favaro 2016): in which order do the tiles lie? Patches (Pathak et al. 2016): what stood
where it is blank?
"""

import itertools

import torch
from torch import Tensor

from ragkit.errors import RagkitError

TURNS = 4
ORDERS = tuple(itertools.permutations(range(4)))
"""The 24 orders of the four quarters of an image."""


def rotated(images: Tensor, turns: Tensor) -> Tensor:
    """Each image (batch, channels, size, size) after so many quarter turns to the left, `turns` (batch,)."""
    every = torch.stack([images.rot90(turn, (2, 3)) for turn in range(TURNS)])
    return every[turns, torch.arange(len(images))]


def jigsaw(images: Tensor, orders: Tensor) -> Tensor:
    """Images (batch, channels, 2h, 2w) with their quarters laid in the orders of these numbers (0 to 23),
    (batch,)."""
    batch, channels, height, width = images.shape
    if height % 2 or width % 2:
        raise RagkitError(f"images of {height}x{width} have no four equal quarters: give even sizes")
    h, w = height // 2, width // 2
    tiles = (
        images.view(batch, channels, 2, h, 2, w).permute(0, 2, 4, 1, 3, 5).reshape(batch, 4, channels, h, w)
    )
    chosen = torch.tensor(ORDERS)[orders]
    laid = tiles[torch.arange(batch)[:, None], chosen]
    return laid.view(batch, 2, 2, channels, h, w).permute(0, 3, 1, 4, 2, 5).reshape(images.shape)


def patch_mask(
    batch: int, height: int, width: int, patch: int, share: float, generator: torch.Generator | None = None
) -> Tensor:
    """Which pixels are hidden, (batch, 1, height, width): of each image the same share of its square
    patches."""
    if height % patch or width % patch:
        raise RagkitError(f"{height}x{width} pixels cannot be cut into patches of {patch}x{patch}")
    rows, columns = height // patch, width // patch
    hidden = round(share * rows * columns)
    order = torch.rand(batch, rows * columns, generator=generator).argsort(dim=1)
    mask = torch.zeros(batch, rows * columns, dtype=torch.bool).scatter_(1, order[:, :hidden], True)
    grid = mask.view(batch, 1, rows, columns)
    return grid.repeat_interleave(patch, dim=2).repeat_interleave(patch, dim=3)
