"""Variational autoencoder: z ~ N(0, I), x ~ p(x|z), and q(z|x) = N(μ(x), σ²(x)) for p(z|x). Rows 121, 123.

Kingma and Welling 2014. The encoder is q(z|x), the decoder p(x|z), which the notes call q(x|z). A new x comes
from a z of the *prior*: the notes "pick values for mean and standard deviation", which the encoder puts out
for an x that is already there.
"""

import torch
from torch import Tensor, nn

from ragkit.models.basics.likelihoods.likelihood import Likelihood
from ragkit.models.generative.reparametrisation import DiagonalNormal


class Vae(nn.Module):
    """Of items (batch, size) with codes (batch, latent).

    Args:
        encoder: (batch, size) to (batch, 2 latent), the means and log σ² of q(z|x).
        decoder: (..., latent) to (..., size · outputs of the likelihood).
        likelihood: of one number of x given what the decoder outputs for it: chapter 2's.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, latent: int, likelihood: Likelihood) -> None:
        super().__init__()
        self.encoder, self.decoder, self.latent, self.likelihood = encoder, decoder, latent, likelihood

    def posterior(self, x: Tensor) -> DiagonalNormal:
        """q(z|x)."""
        return DiagonalNormal.of(self.encoder(x))

    def decode(self, z: Tensor) -> Tensor:
        """What the likelihood takes, (..., size, outputs), for codes (..., latent)."""
        output: Tensor = self.decoder(z)
        return output.unflatten(-1, (-1, self.likelihood.outputs))

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z), (...,), of items (..., size) that broadcast to the codes (..., latent)."""
        decoded = self.decode(z)
        return -self.likelihood.nll(decoded, x.expand(decoded.shape[:-1])).sum(dim=-1)

    def prior_codes(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """z ~ N(0, I), (count, latent): decoded they are new items."""
        return torch.randn(count, self.latent, generator=generator)
