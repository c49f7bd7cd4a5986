"""Autoencoder: min_{f,g} E ‖x - g(f(x))‖², f(x) a short code. Row 119.

With f and g linear the best code is the plane of the first principal components (Baldi and Hornik 1989), so
that PCA is the baseline of every autoencoder.
"""

from torch import Tensor, nn


class Autoencoder(nn.Module):
    """An encoder from items (batch, size) to codes (batch, code), and a decoder back."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, x: Tensor) -> Tensor:
        """The items rebuilt, (batch, size)."""
        rebuilt: Tensor = self.decoder(self.encoder(x))
        return rebuilt


def reconstruction_error(x: Tensor, rebuilt: Tensor) -> Tensor:
    """‖x - g(f(x))‖² of each item, (batch,)."""
    return (x - rebuilt).square().flatten(1).sum(dim=1)
