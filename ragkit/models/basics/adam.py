"""Adam: φ ← φ - α m̂ / (√v̂ + ε). Row 32.

    m ← βm + (1-β) g,   v ← γv + (1-γ) g²,   m̂ = m / (1-βᵗ),   v̂ = v / (1-γᵗ)      (Kingma and Ba 2015)

The notes stop at m = g and v = g²: then g/√g² is a sign, every step is ±α, and near a minimum it jumps to
and fro for ever. That is `variant="notes"`, the same as β = γ = 0. Means of gradients and of their squares
make the steps small where the sign keeps changing; the divisions undo the start from 0.

`weight_decay` shrinks the weights apart from the gradient (AdamW, Loshchilov and Hutter 2019).
"""

from typing import Any, Literal

import torch
from torch import Tensor

from ragkit.models.basics.optimiser import Optimiser, State


class Adam(Optimiser):
    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        beta: float = 0.9,
        gamma: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        variant: Literal["standard", "notes"] = "standard",
    ) -> None:
        if variant == "notes":
            beta = gamma = 0.0
        super().__init__(params, lr, beta=beta, gamma=gamma, epsilon=epsilon, weight_decay=weight_decay)

    def update(self, phi: Tensor, gradient: Tensor, state: State, group: dict[str, Any]) -> None:
        alpha, beta, gamma = group["lr"], group["beta"], group["gamma"]
        if not state:
            state.update(t=torch.zeros(()), m=torch.zeros_like(phi), v=torch.zeros_like(phi))
        state["t"] += 1
        t = state["t"].item()
        state["m"].mul_(beta).add_(gradient, alpha=1 - beta)
        state["v"].mul_(gamma).addcmul_(gradient, gradient, value=1 - gamma)
        m, v = state["m"] / (1 - beta**t), state["v"] / (1 - gamma**t)
        phi *= 1 - alpha * group["weight_decay"]
        phi -= alpha * m / (v.sqrt() + group["epsilon"])
