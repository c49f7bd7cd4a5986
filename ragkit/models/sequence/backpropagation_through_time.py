"""Backpropagation through time: ∂L/∂W = Σ_t Σ_{s≤t} ∂L_t/∂h_t (Π_{s<r≤t} ∂h_r/∂h_{r-1}) ∂h_s/∂W (Werbos
1990). Truncated: s runs back at most to the start of the window of k tokens that t is in. Row 76.

The notes unfold the whole sequence; on a text without end that is impossible, and the product of Jacobians
makes the gradient vanish or explode: hence the window, and the clipping of the gradient's norm.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

WindowLoss = Callable[[Tensor, Tensor, Any], tuple[Tensor, Any]]
"""(inputs of a window, its targets, state) -> (sum of its losses, state after it)."""


def truncated_backward(
    loss: WindowLoss, inputs: Tensor, targets: Tensor, window: int, state: Any = None
) -> tuple[float, Any]:
    """Adds the truncated gradient of a whole sequence to the parameters, one window's graph in memory.

    Args:
        inputs, targets: (batch, tokens, …).
        window: k; the length of the sequence or more gives the full gradient.
        state: where to start from; tensors in tuples, lists or dicts.

    Returns:
        The sum of the losses and the state after the last token, cut off from its history.
    """
    if window < 1:
        raise ValueError(f"a window of {window} tokens")
    total = 0.0
    for part, truth in zip(inputs.split(window, dim=1), targets.split(window, dim=1), strict=True):
        value, state = loss(part, truth, cut_off(state))
        value.backward()
        total += value.item()
    return total, cut_off(state)


def cut_off(state: Any) -> Any:
    """The state with every tensor detached: numbers flow on, gradients do not flow back."""
    if isinstance(state, Tensor):
        return state.detach()
    if isinstance(state, dict):
        return {key: cut_off(value) for key, value in state.items()}
    if isinstance(state, tuple | list):
        return type(state)(cut_off(value) for value in state)
    return state


def clip_gradient(parameters: Iterable[Tensor], largest: float) -> float:
    """Scales all gradients together so that their joint norm is at most `largest` (Pascanu et al. 2013);
    returns the norm they had."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = float(torch.stack([gradient.norm() for gradient in gradients]).norm()) if gradients else 0.0
    for gradient in gradients:
        gradient.mul_(min(1.0, largest / (norm + 1e-6)))
    return norm
