"""Position-wise feed-forward network: FFN(x) = W2 a(W1 x + b1) + b2 (Vaswani et al. 2017, eq. 2). Row 91."""

from collections.abc import Callable
from functools import partial
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

Activation = Literal["relu", "gelu", "gelu_tanh"]

_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "gelu_tanh": partial(functional.gelu, approximate="tanh"),
}


def activation_function(name: Activation) -> Callable[[Tensor], Tensor]:
    """The function of that name; "gelu_tanh" is GPT-2's approximation."""
    return _FUNCTIONS[name]


class FeedForward(nn.Module):
    """(…, width) to (…, width) by way of `inner` units, each position alone."""

    def __init__(self, width: int, inner: int, activation: Activation = "relu") -> None:
        super().__init__()
        self.rise = nn.Linear(width, inner)
        self.fall = nn.Linear(inner, width)
        self.activation = activation_function(activation)

    def forward(self, x: Tensor) -> Tensor:
        return self.fall(self.activation(self.rise(x)))
