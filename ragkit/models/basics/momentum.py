"""Momentum: m ← βm + (1-β) ∂L/∂φ,  φ ← φ - αm, an exponential mean of the gradients. Row 30.

Libraries leave out the (1-β): torch's SGD with learning rate α(1-β) and momentum β takes the same steps.
"""

from typing import Any

import torch
from torch import Tensor

from ragkit.models.basics.optimiser import Optimiser, State


class Momentum(Optimiser):
    def __init__(self, params: Any, lr: float, beta: float = 0.9) -> None:
        super().__init__(params, lr, beta=beta)

    def update(self, phi: Tensor, gradient: Tensor, state: State, group: dict[str, Any]) -> None:
        beta = group["beta"]
        m = state.setdefault("m", torch.zeros_like(phi))
        m.mul_(beta).add_(gradient, alpha=1 - beta)
        phi -= group["lr"] * m
