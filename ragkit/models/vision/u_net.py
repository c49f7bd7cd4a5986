"""U-Net: down to ever smaller maps, up again, each level of the way up given that of the way down. Row 61.

    d_0 = f_0[x],  d_k = f_k[pool d_{k-1}];   u_K = d_K,  u_k = g_k[ d_k ⌢ T_k u_{k+1} ];   logits = W u_0

f and g are two 3x3 convolutions with ReLUs, T transposed convolutions that double the size (row 52), ⌢ joins
the channels (Ronneberger et al. 2015). The notes put the skips "in a ResNet fashion", which would be the sum
d_k + T_k u_{k+1}: `skip="add"`. "none" leaves the skips away, and with them the places of edges.

The paper's convolutions are without padding and its skips cropped; here padding keeps the sizes, which is
what nearly everybody does. With its widths and one logit there are 31,030,593 parameters.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from ragkit.models.vision.classifier import he_initialised
from ragkit.models.vision.segmentation import check_halves

Skip = Literal["concat", "add", "none"]
PAPER = (64, 128, 256, 512, 1024)
"""The paper's channels, level by level."""


class UNet(nn.Module):
    """A level for each of `widths`, each half the size of the one above."""

    def __init__(
        self, channels: int, classes: int, widths: Sequence[int] = PAPER, skip: Skip = "concat"
    ) -> None:
        super().__init__()
        self.channels, self.skip = channels, skip
        self.down = nn.ModuleList(double(a, b) for a, b in pairwise([channels, *widths]))
        self.grow = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairwise(widths))
        self.up = nn.ModuleList(double(2 * a if skip == "concat" else a, a) for a in widths[:-1])
        self.pool = nn.MaxPool2d(2)
        self.classes = nn.Conv2d(widths[0], classes, 1)
        he_initialised(self)

    def forward(self, x: Tensor) -> Tensor:
        """Images (batch, channels, rows, columns) to logits (batch, classes, rows, columns).

        Raises:
            RagkitError: if the sizes cannot be halved down to the last level.
        """
        check_halves(x, self.channels, len(self.grow))
        levels = [self.down[0](x)]
        for down in self.down[1:]:
            levels.append(down(self.pool(levels[-1])))
        u = levels.pop()
        for grow, up in zip(reversed(self.grow), reversed(self.up), strict=True):
            u = up(self.joined(levels.pop(), grow(u)))
        logits: Tensor = self.classes(u)
        return logits

    def joined(self, down: Tensor, up: Tensor) -> Tensor:
        """What the level on the way up is given: (batch, channels, rows, columns) of both."""
        if self.skip == "concat":
            return torch.cat([down, up], dim=1)
        return down + up if self.skip == "add" else up


def double(inputs: int, outputs: int) -> nn.Sequential:
    """Two 3x3 convolutions with ReLUs: the size stays."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.ReLU(),
    )
