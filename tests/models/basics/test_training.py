"""Rows 26-35: optimisers, batches, schedules and gradients beyond what the row checks measure."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ragkit.errors import RagkitError
from ragkit.models.basics.adam import Adam
from ragkit.models.basics.backpropagation import backward_pass, forward_pass
from ragkit.models.basics.gabor import TRUE, gabor, gabor_data, gabor_losses, starting_grid
from ragkit.models.basics.initialisation import he, xavier
from ragkit.models.basics.minibatches import minibatches
from ragkit.models.basics.momentum import Momentum
from ragkit.models.basics.nesterov import Nesterov
from ragkit.models.basics.optimiser import GradientDescent
from ragkit.models.basics.schedules import cosine, linear, step_decay

OPTIMISERS = [GradientDescent, Momentum, Nesterov, Adam]


@pytest.mark.row(26)
@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan])
@pytest.mark.parametrize("make", OPTIMISERS)
def test_a_rate_must_be_positive(make: type, rate: float) -> None:
    with pytest.raises(RagkitError, match="learning rate"):
        make([torch.zeros(1, requires_grad=True)], lr=rate)


@pytest.mark.parametrize("make", OPTIMISERS)
def test_a_stopped_run_goes_on_as_if_it_had_not(make: type) -> None:
    def descend(phi: torch.Tensor, optimiser: torch.optim.Optimizer, steps: int) -> None:
        for _ in range(steps):
            optimiser.zero_grad()
            (phi**4).sum().backward()
            optimiser.step()

    unbroken = torch.tensor([1.0, -0.5], dtype=torch.float64, requires_grad=True)
    descend(unbroken, make([unbroken], lr=0.05), 20)
    first = torch.tensor([1.0, -0.5], dtype=torch.float64, requires_grad=True)
    stopped = make([first], lr=0.05)
    descend(first, stopped, 8)
    second = first.detach().clone().requires_grad_()
    resumed = make([second], lr=0.05)
    resumed.load_state_dict(stopped.state_dict())
    descend(second, resumed, 12)
    assert torch.equal(second, unbroken)


@pytest.mark.row(26)
def test_the_closure_gives_the_loss_and_frozen_parameters_stay() -> None:
    phi, frozen = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    optimiser = GradientDescent([phi, frozen], lr=0.25)

    def closure() -> float:
        loss = (phi**2).sum()
        loss.backward()
        return loss.item()

    assert optimiser.step(closure) == 1
    assert phi.item() == 0.5 and frozen.item() == 1


@pytest.mark.row(31)
def test_nesterov_keeps_the_point_it_has_reached_apart() -> None:
    psi = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    optimiser = Nesterov([psi], lr=0.1, beta=0.5)
    assert optimiser.phi(psi).item() == 1
    psi.grad = torch.tensor([2.0], dtype=torch.float64)
    optimiser.step()
    # m = 1: φ = 1 - 0.1, and the look-ahead goes another 0.1 · 0.5.
    assert optimiser.phi(psi).item() == pytest.approx(0.9)
    assert psi.item() == pytest.approx(0.85)


@pytest.mark.row(32)
def test_the_notes_form_steps_by_the_sign() -> None:
    phi = torch.tensor([1.0, -1.0, 2.0], dtype=torch.float64, requires_grad=True)
    optimiser = Adam([phi], lr=0.1, variant="notes")
    phi.grad = torch.tensor([1e-3, -50.0, 3.0], dtype=torch.float64)
    optimiser.step()
    assert phi.detach().tolist() == pytest.approx([0.9, -0.9, 1.9], abs=1e-5)


@pytest.mark.row(28)
@given(items=st.integers(1, 60), size=st.integers(1, 70), seed=st.integers(0, 99))
def test_each_item_once_an_epoch(items: int, size: int, seed: int) -> None:
    batches = minibatches(items, size, torch.Generator().manual_seed(seed))
    assert sorted(torch.cat(batches).tolist()) == list(range(items))
    assert all(len(batch) == size for batch in batches[:-1]) and len(batches[-1]) <= size


@pytest.mark.row(28)
def test_epochs_differ_and_empty_batches_are_refused() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.cat(minibatches(50, 7, generator)) for _ in range(2))
    assert not torch.equal(first, second)
    with pytest.raises(RagkitError, match="give 1 or more"):
        minibatches(5, 0)


@pytest.mark.row(29)
def test_schedules_rise_fall_and_stay_at_their_end() -> None:
    for schedule in (cosine(100, warm_up=10), linear(100, warm_up=10)):
        rates = [schedule(step) for step in range(120)]
        assert rates[0] == 0 and rates[10] == 1 and rates[100] == pytest.approx(0, abs=1e-12)
        assert rates[:11] == sorted(rates[:11]) and rates[10:101] == sorted(rates[10:101], reverse=True)
        assert rates[110] == pytest.approx(0, abs=1e-12)
    assert [step_decay(2, 0.5)(step) for step in range(5)] == [1, 1, 0.5, 0.5, 0.25]
    with pytest.raises(RagkitError, match="warm-up"):
        linear(10, warm_up=10)


@pytest.mark.row(33)
def test_gradients_of_one_layer_by_hand() -> None:
    weights, biases = [torch.tensor([[2.0, -1.0]])], [torch.tensor([0.5])]
    x = torch.tensor([[1.0, 3.0], [2.0, 0.0]])
    found = backward_pass(weights, forward_pass(weights, biases, x), torch.tensor([[1.0], [10.0]]))
    assert found.weights[0].tolist() == [[21.0, 3.0]]
    assert found.biases[0].tolist() == [11.0]
    assert found.x.tolist() == [[2.0, -1.0], [20.0, -10.0]]


@pytest.mark.row(35)
@pytest.mark.parametrize("law", ["normal", "uniform"])
def test_variances(law: str) -> None:
    generator = torch.Generator().manual_seed(0)
    assert he(400, 100, law, generator).var().item() == pytest.approx(2 / 100, rel=0.03)
    assert xavier(400, 100, law, generator).var().item() == pytest.approx(2 / 500, rel=0.03)


@pytest.mark.row(27)
def test_the_data_come_from_the_true_parameters() -> None:
    x, y = gabor_data(noise=0.0)
    truth = torch.tensor(TRUE, dtype=torch.float64)
    assert gabor_losses(x, y, truth).abs().max() == 0
    others = starting_grid(4)
    assert gabor(x, others).shape == (16, 28)
    assert (gabor_losses(x, y, others).mean(-1) > 1e-3).all()
    assert torch.equal(gabor_data()[1], gabor_data()[1])
    assert not torch.equal(gabor_data(seed=0)[0], gabor_data(seed=1)[0])
