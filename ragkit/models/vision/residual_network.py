"""Residual network: h_{k+1} = h_k + f_k[h_k],  y = Linear[h_K]. Row 58.

Unrolled, h_K = h_0 + f_1[h_0] + f_2[h_1] + ... + f_K[h_{K-1}]: every block writes into one stream, through
which the gradient reaches each of them undiminished. Without h_k + the same layers are a plain deep network,
which trains worse the deeper it is (He et al. 2015).

The notes put h_0 = x. Blocks begin with a ReLU (row 59), so f_1 would see nothing of negative inputs, and
the stream would be as wide as the input: a Linear before the first block is the standard form, h_0 = x is
`variant="notes"`.
"""

from typing import Literal

from torch import Tensor, nn

from ragkit.errors import RagkitError
from ragkit.models.vision.residual_block import ResidualBlock, he_linear


class ResidualNetwork(nn.Module):
    """`blocks` blocks of two layers each on a stream of `width`, between a linear layer in and one out."""

    def __init__(
        self,
        inputs: int,
        width: int,
        outputs: int,
        blocks: int,
        *,
        skip: bool = True,
        normalise: bool = False,
        variant: Literal["standard", "notes"] = "standard",
    ) -> None:
        super().__init__()
        if variant == "notes" and inputs != width:
            raise RagkitError(
                f"a stream of {width} for {inputs} inputs: without a first Linear expected {inputs}"
            )
        self.first = he_linear(inputs, width) if variant == "standard" else nn.Identity()
        self.blocks = nn.ModuleList(
            ResidualBlock(width, normalise=normalise, skip=skip) for _ in range(blocks)
        )
        self.last = he_linear(width, outputs)

    def stream(self, x: Tensor) -> list[Tensor]:
        """h_0 .. h_K, each (batch, width)."""
        found = [self.first(x)]
        for block in self.blocks:
            found.append(block(found[-1]))
        return found

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs) to (batch, outputs)."""
        output: Tensor = self.last(self.stream(x)[-1])
        return output
