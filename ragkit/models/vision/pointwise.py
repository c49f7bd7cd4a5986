"""1x1 convolution: h_{:,i} = W x_{:,i} + b at every place i. Row 53.

A linear layer over the channels, the same one at each pixel: it mixes channels and looks at no neighbour,
which is how ResNet-50 makes its maps thin before the costly 3x3 and wide again after it (Lin et al. 2013).
"""

import torch
from torch import Tensor, nn

from ragkit.errors import RagkitError


class Pointwise(nn.Module):
    """`weight` (channels out, channels in) and `bias` (channels out,)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels_out, channels_in) * (2 / channels_in) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(channels_out))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels in, *sizes) to (batch, channels out, *sizes).

        Raises:
            RagkitError: if the input has other channels.
        """
        outputs, inputs = self.weight.shape
        if x.ndim < 3 or x.shape[1] != inputs:
            raise RagkitError(f"input {tuple(x.shape)}: expected (batch, {inputs}, *sizes)")
        mixed = torch.einsum("oc,nc...->no...", self.weight, x)
        return mixed + self.bias.view(outputs, *[1] * (x.ndim - 2))
