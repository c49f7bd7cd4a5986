"""Denoising autoencoder: min_{f,g} E ‖x - g(f(x̃))‖², x̃ a corrupted x. Row 120.

Vincent et al. 2008: the target is the clean x, the input is corrupted anew each time it is seen, by Gaussian
noise or by zeros in place of some numbers. Copying the input is no longer a solution, so that the code need
not be short.
"""

from typing import Literal

import torch
from torch import Tensor

from ragkit.errors import RagkitError


def corrupted(
    x: Tensor,
    level: float,
    kind: Literal["noise", "mask"] = "noise",
    generator: torch.Generator | None = None,
) -> Tensor:
    """x with Gaussian noise of standard deviation `level`, or with that share of its numbers at 0.

    Raises:
        RagkitError: if the level is negative, or a share above 1.
    """
    if level < 0 or (kind == "mask" and level > 1):
        raise RagkitError(f"corruption by {kind} of level {level}: give 0 or more, at most 1 for a mask")
    if kind == "mask":
        return x * (torch.rand(x.shape, generator=generator).to(x.device) >= level)
    return x + level * torch.randn(x.shape, generator=generator).to(x.device)


def psnr(x: Tensor, rebuilt: Tensor, peak: float = 1.0) -> Tensor:
    """Peak signal-to-noise ratio, 10 log10(peak² / mean squared error), in dB: a scalar over all items."""
    return 10 * torch.log10(peak**2 / (x - rebuilt).square().mean())
