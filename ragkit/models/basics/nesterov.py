"""Nesterov momentum: m ← βm + (1-β) ∂L/∂φ at φ - αβm,  φ ← φ - αm. Row 31.

The gradient is taken where momentum alone would lead. The notes print φ - αm; the step from φ that momentum
takes before the new gradient counts is αβm (Prince, Understanding Deep Learning, eq. 6.12).
`variant="notes"` looks the notes' αm ahead.

Gradients are computed at the model's parameters, so those hold the point looked ahead to, ψ, and φ is kept
beside them; torch's SGD(nesterov=True) does the same.
"""

from typing import Any, Literal

import torch
from torch import Tensor

from ragkit.models.basics.optimiser import Optimiser, State


class Nesterov(Optimiser):
    """The parameters are ψ = φ - αβm, where the next gradient is needed; `phi(parameter)` gives φ."""

    def __init__(
        self, params: Any, lr: float, beta: float = 0.9, variant: Literal["standard", "notes"] = "standard"
    ) -> None:
        super().__init__(params, lr, beta=beta, ahead=1.0 if variant == "notes" else beta)

    def update(self, phi: Tensor, gradient: Tensor, state: State, group: dict[str, Any]) -> None:
        alpha, beta = group["lr"], group["beta"]
        if not state:
            state.update(m=torch.zeros_like(phi), phi=phi.clone())
        state["m"].mul_(beta).add_(gradient, alpha=1 - beta)
        state["phi"] -= alpha * state["m"]
        phi.copy_(state["phi"] - alpha * group["ahead"] * state["m"])

    def phi(self, parameter: Tensor) -> Tensor:
        """The point that the method has reached."""
        reached: Tensor = self.state[parameter].get("phi", parameter)
        return reached.detach()
