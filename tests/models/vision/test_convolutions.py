"""Rows 46-49, 52, 53: convolutions beyond what the row checks measure."""

from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from ragkit.errors import RagkitError
from ragkit.models.vision.convolution import Convolution, convolve, parameter_count
from ragkit.models.vision.pointwise import Pointwise
from ragkit.models.vision.receptive_field import Window, gradient_map, measured_span, receptive_field, windows
from ragkit.models.vision.transposed_convolution import convolve_transposed
from ragkit.models.vision.windows import margins, output_size


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.row(46)
def test_the_notes_sum_of_three_taps() -> None:
    x, w, beta = normal(6), normal(3), 0.5
    h = convolve(x[None, None], w[None, None], torch.tensor([beta]).double(), padding=1)[0, 0]
    around = [0.0, *x.tolist(), 0.0]
    for i in range(6):
        assert h[i].item() == pytest.approx(beta + sum(w[j].item() * around[i + j] for j in range(3)))


@pytest.mark.row(46)
def test_three_dimensions_work_as_well() -> None:
    x, weight = normal(1, 2, 5, 6, 4), normal(3, 2, 2, 3, 2)
    theirs = functional.conv3d(x, weight, stride=(1, 2, 1), padding=(0, 1, 1))
    assert (convolve(x, weight, stride=(1, 2, 1), padding=(0, 1, 1)) - theirs).abs().max() < 1e-10


@pytest.mark.row(46)
def test_gradients_are_those_of_finite_differences() -> None:
    leaves = [normal(1, 2, 5).requires_grad_(), normal(2, 2, 3).requires_grad_()]
    assert torch.autograd.gradcheck(lambda x, w: convolve(x, w, stride=2, padding=1), leaves)


@pytest.mark.parametrize(
    "x, weight, how, message",
    [
        ((1, 3, 8, 8), (4, 2, 3, 3), {}, "expected .batch, channels in"),
        ((3, 8, 8), (4, 3, 3, 3), {}, "expected .batch, channels in"),
        ((1, 3, 2, 8), (4, 3, 3, 3), {}, "expected 3 or more"),
        ((1, 3, 4, 8), (4, 3, 3, 3), {"dilation": 2}, "expected 5 or more"),
        ((1, 3, 8, 8), (4, 3, 3, 3), {"stride": (1, 2, 3)}, "stride .1, 2, 3.: expected 2 numbers"),
        ((1, 3, 8, 8), (4, 3, 3, 3), {"stride": 0}, "of 1 or more"),
        ((1, 3, 8, 8), (4, 3, 3, 3), {"padding": -1}, "of 0 or more"),
        ((1, 3, 8, 8), (4, 3, 3, 3), {"padding": "full"}, "expected a number, 'same' or 'valid'"),
        ((1, 3, 8, 8), (4, 3, 3, 3), {"padding": "same", "stride": 2}, "only at stride 1"),
    ],
)
def test_what_does_not_fit_is_refused(
    x: tuple[int, ...], weight: tuple[int, ...], how: dict[str, Any], message: str
) -> None:
    with pytest.raises(RagkitError, match=message):
        convolve(normal(*x), normal(*weight), **how)


@pytest.mark.row(47)
@settings(max_examples=200, deadline=None)
@given(
    size=st.integers(1, 40),
    kernel=st.integers(1, 6),
    stride=st.integers(1, 4),
    padding=st.integers(0, 4),
    dilation=st.integers(1, 3),
)
def test_the_formula_counts_the_places_of_the_kernel(
    size: int, kernel: int, stride: int, padding: int, dilation: int
) -> None:
    starts = range(-padding, size + padding, stride)
    fitting = sum(start + dilation * (kernel - 1) < size + padding for start in starts)
    if fitting:
        assert output_size(size, kernel, stride=stride, padding=padding, dilation=dilation) == fitting
    else:
        with pytest.raises(RagkitError, match="does not fit"):
            output_size(size, kernel, stride=stride, padding=padding, dilation=dilation)


@pytest.mark.row(47)
def test_the_notes_call_same_valid() -> None:
    assert margins("valid", (3, 3), (1, 1), (1, 1)) == [(0, 0), (0, 0)]
    assert margins("valid", (3, 3), (1, 1), (1, 1), variant="notes") == [(1, 1), (1, 1)]
    assert Convolution(1, 1, (3,), padding="valid", variant="notes")(torch.ones(1, 1, 7)).shape == (1, 1, 7)
    assert margins("same", (4,), (1,), (1,)) == [(1, 2)]


@pytest.mark.row(48)
def test_channels_add_up() -> None:
    assert parameter_count(3, 1, (3, 3)) == 27 + 1
    x, weight = normal(1, 3, 6, 6), normal(2, 3, 3, 3)
    one_by_one = sum(convolve(x[:, c : c + 1], weight[:, c : c + 1]) for c in range(3))
    assert (convolve(x, weight) - one_by_one).abs().max() < 1e-12


@pytest.mark.row(49)
def test_fields_of_networks_that_were_published() -> None:
    """Araujo et al. 2019, table 1; the first layers of ResNet."""
    three = Window(3, padding=1)
    pool = Window(2, stride=2)
    vgg16 = [three] * 2 + [pool] + [three] * 2 + [pool] + ([three] * 3 + [pool]) * 3
    assert receptive_field(vgg16).size == 212 and receptive_field(vgg16).jump == 32
    assert receptive_field([Window(7, 2, padding=3), Window(3, 2, padding=1)]).size == 11


@pytest.mark.row(49)
def test_a_field_in_two_dimensions_and_its_map() -> None:
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(3, 1, 3)
    ).double()
    for parameter in net.parameters():
        nn.init.ones_(parameter)
    x = torch.ones(1, 2, 16, 16, dtype=torch.float64)
    span = receptive_field(windows(net)).span(2)
    assert measured_span(net, x, (2, 2)) == [span, span]
    seen = gradient_map(net, x, (2, 2))
    assert seen.shape == (16, 16)
    assert seen[span[0] + 3, span[0] + 3] > seen[span[0], span[0]] > 0, (
        "the middle counts more than the corner"
    )


@pytest.mark.row(49)
def test_layers_without_a_field_are_refused() -> None:
    with pytest.raises(RagkitError, match="through Linear"):
        windows([nn.Linear(3, 3)])
    with pytest.raises(RagkitError, match="as a number"):
        windows([nn.Conv1d(1, 1, 3, padding="same")])
    blind = nn.Conv1d(1, 1, 3)
    nn.init.zeros_(blind.weight)
    with pytest.raises(RagkitError, match="depends on no input"):
        measured_span(blind, torch.ones(1, 1, 5), (0,))


@pytest.mark.row(52)
@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(6, 12),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    seed=st.integers(0, 1000),
)
def test_it_is_the_transpose_of_the_matrix(
    size: int, kernel: int, stride: int, dilation: int, seed: int
) -> None:
    assume(size >= dilation * (kernel - 1) + 1)
    weight = torch.randn(1, 1, kernel, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    how: dict[str, Any] = {"stride": stride, "dilation": dilation}
    matrix = convolve(torch.eye(size, dtype=torch.float64)[:, None], weight, **how)[:, 0].T
    outputs = len(matrix)
    extra = size - ((outputs - 1) * stride + dilation * (kernel - 1) + 1)
    columns = torch.eye(outputs, dtype=torch.float64)[:, None]
    assume(extra < max(stride, dilation))  # more are inputs that no output saw
    back = convolve_transposed(columns, weight, extra=extra, **how)[:, 0].T
    assert (back - matrix.T).abs().max() < 1e-12


@pytest.mark.row(52)
def test_a_transposed_convolution_that_does_not_fit() -> None:
    x, weight = normal(1, 2, 4), normal(2, 3, 3)
    with pytest.raises(RagkitError, match="channels in, channels out"):
        convolve_transposed(normal(1, 3, 4), weight)
    with pytest.raises(RagkitError, match="less than the stride"):
        convolve_transposed(x, weight, stride=2, extra=2)
    with pytest.raises(RagkitError, match="cuts off all"):
        convolve_transposed(x, weight, padding=3)


@pytest.mark.row(53)
def test_pointwise_wants_its_channels() -> None:
    assert Pointwise(2, 5)(torch.ones(3, 2, 4, 6)).shape == (3, 5, 4, 6)
    with pytest.raises(RagkitError, match=r"expected .batch, 2"):
        Pointwise(2, 5)(torch.ones(3, 4, 4))
