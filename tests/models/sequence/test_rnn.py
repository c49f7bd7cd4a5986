"""Rows 75, 76: the recurrent network and its gradient through time against torch."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from ragkit.models.sequence.backpropagation_through_time import clip_gradient, truncated_backward
from ragkit.models.sequence.rnn import Rnn


@pytest.mark.row(75)
def test_the_notes_form_cannot_leave_zero_on_a_zero_input() -> None:
    zeros = torch.zeros(1, 5, 4)
    assert not Rnn(4, 6, 3, variant="notes")(zeros)[1].any()
    assert Rnn(4, 6, 3)(zeros)[1].any()


def gradients(model: Rnn, window: int, x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
    def loss(inputs: torch.Tensor, targets: torch.Tensor, state: torch.Tensor) -> tuple:
        logits, state = model.logits(inputs, state)
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum"), state

    model.zero_grad()
    truncated_backward(loss, x, y, window)
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.row(76)
def test_a_longer_window_is_nearer_to_the_full_gradient() -> None:
    torch.manual_seed(0)
    model = Rnn(4, 6, 3).double()
    x, y = torch.randn(2, 9, 4, dtype=torch.float64), torch.randint(3, (2, 9))
    full = gradients(model, 20, x, y)["recurrent.weight"]
    errors = [float((gradients(model, k, x, y)["recurrent.weight"] - full).norm()) for k in (1, 3, 9)]
    assert errors[0] > errors[1] > 1e-3 and errors[2] == 0


@pytest.mark.row(76)
def test_backpropagation_by_hand_through_three_steps() -> None:
    """The sum over s ≤ t of the docstring, with its products of Jacobians, in numpy."""
    torch.manual_seed(0)
    model = Rnn(2, 3, 2, variant="notes").double()
    x, y = torch.randn(1, 3, 2, dtype=torch.float64), torch.randint(2, (1, 3))
    found = gradients(model, 3, x, y)["recurrent.weight"].numpy()
    w, u, v = (p.detach().numpy() for p in (model.recurrent.weight, model.input.weight, model.output.weight))
    states = [np.zeros(3)]
    for t in range(3):
        states.append(np.tanh(w @ states[-1] + u @ x[0, t].numpy()))
    expected = np.zeros((3, 3))
    for t in range(1, 4):
        scores = np.exp(v @ states[t])
        error = v.T @ (scores / scores.sum() - np.eye(2)[y[0, t - 1]])
        for s in range(t, 0, -1):
            expected += np.outer(error * (1 - states[s] ** 2), states[s - 1])
            error = w.T @ (error * (1 - states[s] ** 2))
    assert np.abs(found - expected).max() < 1e-10


@pytest.mark.row(76)
@pytest.mark.parametrize("largest", [0.1, 100.0])
def test_clipping_equals_torch(largest: float) -> None:
    torch.manual_seed(0)
    parameters = [torch.nn.Parameter(torch.zeros(3, 4)) for _ in range(2)] + [
        torch.nn.Parameter(torch.zeros(5))
    ]
    for parameter in parameters[:2]:
        parameter.grad = torch.randn_like(parameter)
    ours = [p.grad.clone() for p in parameters[:2] if p.grad is not None]
    expected = torch.nn.utils.clip_grad_norm_(parameters, largest)
    clipped = [p.grad.clone() for p in parameters[:2] if p.grad is not None]
    for parameter, gradient in zip(parameters, ours, strict=False):
        parameter.grad = gradient
    assert abs(clip_gradient(parameters, largest) - float(expected)) < 1e-6
    for parameter, gradient in zip(parameters, clipped, strict=False):
        assert parameter.grad is not None and (parameter.grad - gradient).abs().max() < 1e-7
    assert clip_gradient([torch.nn.Parameter(torch.zeros(2))], 1.0) == 0


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="window"):
        truncated_backward(lambda x, y, s: (x.sum(), s), torch.zeros(1, 2), torch.zeros(1, 2), 0)
