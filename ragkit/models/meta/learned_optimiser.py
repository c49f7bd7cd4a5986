"""A learned optimiser: θ_{t+1} = θ_t + g_t, (g_t, h_{t+1}) = LSTM_φ(∇f(θ_t), h_t). Row 157.

Andrychowicz et al. 2016. φ is trained by gradient descent on Σ_t f(θ_t), the loss along the way. What the
notes' one line leaves open:

- coordinatewise: one small LSTM for every coordinate of θ, each with its own state, so that it fits any θ;
- the gradient goes in as (log|∇| / p, sign ∇), or (-1, e^p ∇) where it is below e^-p (appendix A);
- ∇f is taken as given, though it depends on φ by way of θ_t: it is detached, which saves second derivatives;
- the unroll is cut every few steps: θ and h go on, their gradient does not.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

State = list[tuple[Tensor, Tensor]]
"""h and c of each layer, (coordinates, hidden)."""


class LstmOptimiser(nn.Module):
    """`layers` of `hidden` units a coordinate. `scale`: what the output is multiplied by, so that steps begin
    small."""

    def __init__(self, hidden: int = 20, layers: int = 2, scale: float = 0.1, p: float = 10.0) -> None:
        super().__init__()
        self.cells = nn.ModuleList(nn.LSTMCell(hidden if i else 2, hidden) for i in range(layers))
        self.out, self.scale, self.p = nn.Linear(hidden, 1), scale, p

    def start(self, theta: Tensor) -> State:
        """The state before the first step on parameters of any shape."""
        zero = theta.new_zeros(theta.numel(), self.out.in_features)
        return [(zero, zero) for _ in self.cells]

    def forward(self, gradient: Tensor, state: State) -> tuple[Tensor, State]:
        """The step g, in the gradient's shape, and the state after it."""
        seen = preprocessed(gradient.flatten(), self.p)
        after: State = []
        for cell, before in zip(self.cells, state, strict=True):
            after.append(cell(seen, before))
            seen = after[-1][0]
        return self.scale * self.out(seen).view(gradient.shape), after


def preprocessed(gradient: Tensor, p: float = 10.0) -> Tensor:
    """Each coordinate's gradient (n,) as the two numbers of a like size, (n, 2), that the LSTM reads."""
    size = gradient.abs()
    large = size >= torch.e**-p
    # The smallest number under the log: what `where` leaves out must not be -inf.
    logs = size.clamp_min(torch.finfo(gradient.dtype).tiny).log() / p
    return torch.stack(
        [logs.where(large, -torch.ones_like(logs)), gradient.sign().where(large, torch.e**p * gradient)],
        dim=1,
    )


def unroll(
    optimiser: LstmOptimiser, objective: Callable[[Tensor], Tensor], theta: Tensor, state: State, steps: int
) -> tuple[Tensor, Tensor, State]:
    """f(θ_1) .. f(θ_steps) from θ = θ_0, (steps,), with the last θ and state.

    `objective` from θ to a scalar; inside `torch.no_grad()` the same without a graph.
    """
    values = []
    for _ in range(steps):
        with torch.enable_grad():
            here = theta.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(objective(here), here)
        step, state = optimiser(gradient, state)
        theta = theta + step
        values.append(objective(theta))
    return torch.stack(values), theta, state
