"""MAML: θ ← θ - β ∇_θ Σ_i L_i(θ - α ∇L_i(θ)). Row 158.

Finn, Abbeel and Levine 2017, algorithm 1: every task i takes its own inner steps from the common θ on its
support; what is minimised is the sum of the losses after them, on other items of each task. The notes sum the
losses "for different batches" and leave out the inner step, without which that is ordinary training on all
tasks at once: `steps=0`, the baseline. The outer gradient goes through the inner one,

    ∇_θ L(θ - α∇L(θ)) = (I - α∇²L(θ)) ∇L(θ'),

and `first_order=True` takes the bracket as I.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Parameters = Mapping[str, Tensor]


def adapted(
    loss: Callable[[Parameters], Tensor],
    parameters: Parameters,
    rate: float,
    steps: int = 1,
    first_order: bool = False,
) -> Parameters:
    """The parameters after `steps` of gradient descent on the scalar `loss` of a task's support, still a
    function of those they began with."""
    for _ in range(steps):
        gradients = torch.func.grad(loss)(parameters)
        if first_order:
            gradients = {name: gradient.detach() for name, gradient in gradients.items()}
        parameters = {name: value - rate * gradients[name] for name, value in parameters.items()}
    return parameters
