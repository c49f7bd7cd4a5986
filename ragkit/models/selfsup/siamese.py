"""Siamese network: d(x, y) = ‖f(x) - f(y)‖, one f for both. Row 62.

The notes speak of two encoders "that are internally the same": there is one set of parameters, used twice.
"""

from torch import Tensor, nn


class Siamese(nn.Module):
    """Compares two batches of inputs by an encoder from inputs (batch, ...) to vectors (batch, size)."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """The distance of each pair, (batch,)."""
        distance: Tensor = (self.encoder(x) - self.encoder(y)).norm(dim=-1)
        return distance
