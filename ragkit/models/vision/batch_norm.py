"""Batch normalisation: H' = γ (H - μ)/√(σ² + ε) + δ, with μ, σ² of each unit over the batch. Row 60.

(Ioffe and Szegedy 2015.) The notes print (H - μ)/σ: without ε a unit that is constant over the batch divides
0 by 0, without γ and δ the unit can take no other mean or spread. `variant="notes"` is their form. They also
say that the running averages replace μ and σ "at training time": it is at *test* time, where a batch may be
a single item and an answer must not depend on its batch mates.

What it answers: f in h + f[h], with He's weights, has the variance of h and is uncorrelated with it, so each
residual block doubles the variance, 2^K after K blocks. With a normalised input each f adds a variance of
one: K + 1.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from ragkit.errors import RagkitError


class BatchNorm(nn.Module):
    """Normalises each channel of (batch, channels, *sizes) over the batch and all places.

    The running mean and variance move to the batch's by `momentum`, the variance there with n - 1; they are
    used in evaluation mode.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self,
        channels: int,
        epsilon: float = 1e-5,
        momentum: float = 0.1,
        variant: Literal["standard", "notes"] = "standard",
    ) -> None:
        super().__init__()
        self.epsilon, self.momentum = (epsilon if variant == "standard" else 0.0), momentum
        learnt = variant == "standard"
        self.scale = nn.Parameter(torch.ones(channels)) if learnt else None
        self.shift = nn.Parameter(torch.zeros(channels)) if learnt else None
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """
        Raises:
            RagkitError: if the channels are others, or there is but one value of each to train on.
        """
        channels = len(self.running_mean)
        if x.ndim < 2 or x.shape[1] != channels:
            raise RagkitError(f"input {tuple(x.shape)}: expected (batch, {channels}, *sizes)")
        mean, variance = self._batch_statistics(x) if self.training else (self.running_mean, self.running_var)
        shape = (1, channels, *[1] * (x.ndim - 2))
        normal = (x - mean.view(shape)) / (variance.view(shape) + self.epsilon).sqrt()
        if self.scale is None or self.shift is None:
            return normal
        return normal * self.scale.view(shape) + self.shift.view(shape)

    def _batch_statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        count = x.numel() // x.shape[1]
        if count < 2:
            raise RagkitError(
                f"input {tuple(x.shape)}: one value a channel has no spread, expected 2 or more"
            )
        axes = [0, *range(2, x.ndim)]
        mean, variance = x.mean(dim=axes), x.var(dim=axes, correction=0)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        return mean, variance
