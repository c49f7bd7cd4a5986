"""Rows 1-10: networks and activations beyond what the row checks measure."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.errors import RagkitError
from ragkit.models.basics import activations
from ragkit.models.basics.approximation import interpolant
from ragkit.models.basics.linear_probe import linear_probe
from ragkit.models.basics.mlp import Mlp, parameter_count, tent
from ragkit.models.basics.regions import breakpoints, most_regions, regions_of_the_plane
from ragkit.models.basics.shallow import ShallowNetwork


@pytest.mark.row(2)
def test_relu_at_zero() -> None:
    z = torch.tensor([-1.0, 0.0, 1.0], requires_grad=True)
    activations.relu(z).sum().backward()
    assert z.grad is not None and z.grad.tolist() == [0, 0, 1]


@pytest.mark.row(3)
def test_sigmoid_far_out_is_finite_with_its_gradient() -> None:
    z = torch.tensor([-1e4, -100.0, 100.0, 1e4], requires_grad=True)
    value = activations.sigmoid(z)
    value.sum().backward()
    assert value.isfinite().all() and z.grad is not None and z.grad.isfinite().all()


@pytest.mark.row(4)
@pytest.mark.parametrize("slope", [1.0, 2.0, -0.1])
def test_a_slope_that_is_none_of_a_leaky_relu(slope: float) -> None:
    with pytest.raises(RagkitError, match="slope"):
        activations.leaky_relu(torch.zeros(1), slope)


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(RagkitError, match="there are relu"):
        Mlp([2, 3, 1], "gelo")


@pytest.mark.row(5)
@settings(max_examples=40, deadline=None)
@given(units=st.integers(1, 12), seed=st.integers(0, 10_000))
def test_between_breakpoints_the_function_is_straight(units: int, seed: int) -> None:
    torch.manual_seed(seed)
    net = ShallowNetwork(1, units, 1).double()
    points = breakpoints(net)
    assert len(points) + 1 <= most_regions(units, 1)
    edges = torch.cat([points[:1] - 1, points, points[-1:] + 1])
    for low, high in pairwise(edges):
        inside = torch.stack([low, (low + high) / 2, high])[:, None]
        left, middle, right = net(inside).flatten()
        assert (middle - (left + right) / 2).abs() <= 1e-9 * (1 + left.abs() + right.abs())


@pytest.mark.row(5)
def test_units_that_cancel_bend_nothing() -> None:
    net = ShallowNetwork(1, 2, 1).double()
    with torch.no_grad():
        net.theta.copy_(torch.tensor([[-1.0, 1.0], [-1.0, 1.0]]))
        net.phi.copy_(torch.tensor([[0.0, 2.0, -2.0]]))
    assert not len(breakpoints(net))


@pytest.mark.row(5)
def test_the_bound_counts_regions_of_several_inputs() -> None:
    assert [most_regions(units, 1) for units in (1, 2, 3)] == [2, 3, 4]
    assert most_regions(3, 2) == 7 and most_regions(3, 5) == 8
    with pytest.raises(RagkitError, match="1 input"):
        breakpoints(ShallowNetwork(2, 3, 1))
    with pytest.raises(RagkitError, match="2 inputs"):
        regions_of_the_plane(ShallowNetwork(1, 3, 1))
    parallel = ShallowNetwork(2, 2, 1)
    with torch.no_grad():
        parallel.theta.copy_(torch.tensor([[0.0, 1.0, 1.0], [1.0, 2.0, 2.0]]))
    with pytest.raises(RagkitError, match="parallel"):
        regions_of_the_plane(parallel)


@pytest.mark.row(6)
def test_the_interpolant_meets_its_knots() -> None:
    knots = torch.linspace(0, 1, 8, dtype=torch.float64)
    net = interpolant(torch.exp, 7)
    assert (net(knots[:, None])[:, 0] - knots.exp()).abs().max() < 1e-12


@pytest.mark.row(8)
def test_the_tent_folds() -> None:
    x = torch.linspace(0, 1, 129, dtype=torch.float64)
    wanted = x
    for _ in range(3):
        wanted = 1 - (2 * wanted - 1).abs()
    assert (tent(3)(x[:, None])[:, 0] - wanted).abs().max() < 1e-12


@pytest.mark.row(8)
def test_equals_a_sequence_of_layers() -> None:
    torch.manual_seed(0)
    net = Mlp([3, 7, 5, 2]).double()
    first, second, third = net.layers
    theirs = torch.nn.Sequential(first, torch.nn.ReLU(), second, torch.nn.ReLU(), third)
    x = torch.randn(20, 3, dtype=torch.float64)
    assert (net(x) - theirs(x)).abs().max() < 1e-10
    assert [h.shape for h in net.hidden(x)] == [(20, 7), (20, 5)]


@pytest.mark.row(9)
def test_sizes() -> None:
    assert parameter_count([1, 3, 1]) == 10
    for widths in ([3], [], [3, 0, 2]):
        with pytest.raises(RagkitError, match="widths"):
            Mlp(widths)


@pytest.mark.row(10)
def test_a_probe_reads_what_is_linear_only() -> None:
    x = torch.randn(400, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    linear, circle = (x[:, 0] > x[:, 1]).long(), (x.norm(dim=1) > 1.18).long()

    def accuracy(labels: torch.Tensor) -> float:
        return (linear_probe(x, labels, 2)(x).argmax(-1) == labels).double().mean().item()

    assert accuracy(linear) > 0.97 and accuracy(circle) < 0.7
