"""Activation functions. Rows 2, 3, 4.

    ReLU[z] = max(0, z)        σ[z] = 1 / (1 + e⁻ᶻ)        tanh z = 2σ[2z] - 1
    LReLU[z] = max(z, αz), 0 < α < 1 fixed                 PReLU: the same with α learnt (He et al. 2015)

The notes leave open what the slope of ReLU is at z = 0, where it has none: 0 here, as in torch.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ragkit.errors import RagkitError

Activation = Callable[[Tensor], Tensor]


def relu(z: Tensor) -> Tensor:
    return torch.where(z > 0, z, 0.0)


def sigmoid(z: Tensor) -> Tensor:
    # e^-z overflows far below 0, log(1 + e^-z) does not.
    return torch.exp(-torch.logaddexp(torch.zeros_like(z), -z))


def tanh(z: Tensor) -> Tensor:
    return 2 * sigmoid(2 * z) - 1


def leaky_relu(z: Tensor, slope: float = 0.1) -> Tensor:
    """Raises RagkitError: if the slope is not in [0, 1), where max(z, αz) would keep the wrong side."""
    if not 0 <= slope < 1:
        raise RagkitError(f"a slope of {slope}: the leaky ReLU wants 0 <= slope < 1")
    return torch.where(z > 0, z, slope * z)


class PReLU(nn.Module):
    """The leaky ReLU whose slope is a parameter."""

    def __init__(self, slope: float = 0.25) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))

    def forward(self, z: Tensor) -> Tensor:
        return torch.where(z > 0, z, self.slope * z)


ACTIVATIONS: dict[str, Activation] = {
    "relu": relu,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "leaky_relu": leaky_relu,
}


def activation(name: str) -> Activation:
    """The activation of this name.

    Raises:
        RagkitError: if there is none.
    """
    if name not in ACTIVATIONS:
        raise RagkitError(f"no activation {name!r}: there are {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]
