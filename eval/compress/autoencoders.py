"""Other ways to learn a linear code for vectors: reconstruction, with noise in the input, or variational.

    mse:       ‖x - B A x‖²                                  (its best A spans the principal axes)
    denoising: ‖x - B A (x + ε)‖²,  ε ~ N(0, σ²)              (Vincent et al. 2008)
    vae:       ‖x - B z‖² / (2 s²) + KL(N(Ax, diag v) ‖ N(0, I)),  z ~ N(Ax, diag v)
               (Kingma and Welling 2014)

The code of a vector is A x in each case.
"""

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

Objective = Literal["mse", "denoising", "vae"]
OBJECTIVES: tuple[Objective, ...] = ("mse", "denoising", "vae")
NOISE = 0.02
"""A number's standard deviation in a vector of length 1 and 384 numbers is .05."""


def autoencoder(
    vectors: npt.NDArray[np.float32], size: int, objective: Objective, *, steps: int = 800, seed: int = 0
) -> npt.NDArray[np.float32]:
    """A, (size, d), by Adam from weights drawn at random."""
    torch.manual_seed(seed)
    x_all = torch.from_numpy(vectors)
    dimension = x_all.shape[1]
    encoder, decoder = nn.Linear(dimension, size, bias=False), nn.Linear(size, dimension, bias=False)
    nn.init.orthogonal_(encoder.weight)
    with torch.no_grad():
        decoder.weight.copy_(encoder.weight.T)
    log_variance = nn.Parameter(torch.full((size,), -6.0))
    spread = float(vectors.std())
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters(), log_variance], lr=2e-3)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * (1 + math.cos(math.pi * step / steps)) / 2
        x = x_all[torch.randint(len(x_all), (256,))]
        z = encoder(x + NOISE * torch.randn_like(x) if objective == "denoising" else x)
        extra = torch.zeros(())
        if objective == "vae":
            variance = log_variance.exp()
            extra = (z.square() + variance - 1 - log_variance).sum(1).mean() / 2
            z = z + variance.sqrt() * torch.randn_like(z)
        error = (x - decoder(z)).square().sum(1).mean()
        loss = error / (2 * (0.2 * spread) ** 2) + extra if objective == "vae" else error
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return encoder.weight.detach().numpy()
