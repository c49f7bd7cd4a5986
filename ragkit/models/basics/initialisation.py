"""Initialisation: Var[Ω] = 2/D_in (He et al. 2015), or 2/(D_in + D_out) (Glorot and Bengio 2010). Row 35.

A layer of ReLUs halves the second moment, so weights of variance 2/D_in keep the variance of the activations
the same from layer to layer; 2/D_out would keep that of the gradients. Xavier's is the compromise of the two
for activations that are linear around 0. Biases start at 0. The notes ask for "a proper initialisation" and
give no formula.
"""

from typing import Literal

import torch
from torch import Tensor

Law = Literal["normal", "uniform"]


def he(outputs: int, inputs: int, law: Law = "normal", generator: torch.Generator | None = None) -> Tensor:
    """Weights (outputs, inputs) of variance 2/inputs."""
    return _drawn(outputs, inputs, 2 / inputs, law, generator)


def xavier(
    outputs: int, inputs: int, law: Law = "normal", generator: torch.Generator | None = None
) -> Tensor:
    """Weights (outputs, inputs) of variance 2/(inputs + outputs)."""
    return _drawn(outputs, inputs, 2 / (inputs + outputs), law, generator)


def _drawn(outputs: int, inputs: int, variance: float, law: Law, generator: torch.Generator | None) -> Tensor:
    if law == "normal":
        return torch.randn(outputs, inputs, generator=generator) * variance**0.5
    # Uniform on [-a, a] has variance a²/3.
    return (2 * torch.rand(outputs, inputs, generator=generator) - 1) * (3 * variance) ** 0.5
