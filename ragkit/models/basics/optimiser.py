"""What all optimisers share: for each parameter φ with a gradient, one update. Row 26.

    φ ← φ - α ∂L/∂φ                                        gradient descent

The notes say that backpropagation "updates the weights": it computes the gradients (row 33); the optimiser
updates. On a quadratic with largest curvature λ, gradient descent converges for α < 2/λ and diverges above.

They are torch optimisers: parameter groups, schedulers and the training loop take them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ragkit.errors import RagkitError

State = dict[str, Any]
"""What an optimiser remembers of one parameter; empty before its first step."""


class Optimiser(torch.optim.Optimizer, ABC):
    """Subclasses say how one parameter is updated from its gradient.

    Args:
        params: parameters or groups of them, as torch takes them.
        lr: the step size α.

    Raises:
        RagkitError: if α is not positive.
    """

    def __init__(self, params: Any, lr: float, **settings: Any) -> None:
        if not lr > 0:
            raise RagkitError(f"a learning rate of {lr}: it must be above 0")
        super().__init__(params, {"lr": lr} | settings)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Updates every parameter; `closure`, where given, computes loss and gradients first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.update(parameter, parameter.grad, self.state[parameter], group)
        return loss

    @abstractmethod
    def update(self, phi: Tensor, gradient: Tensor, state: State, group: dict[str, Any]) -> None:
        """Changes φ in place."""


class GradientDescent(Optimiser):
    def update(self, phi: Tensor, gradient: Tensor, state: State, group: dict[str, Any]) -> None:
        phi -= group["lr"] * gradient
