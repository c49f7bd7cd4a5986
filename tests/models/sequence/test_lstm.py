"""The LSTM against torch.nn.LSTM, with projection, clipping and lengths."""

import pytest
import torch
from torch import Tensor

from ragkit.models.sequence.lstm import LstmLayer


@pytest.mark.row(82)
def test_reading_in_two_parts_is_reading_at_once() -> None:
    layer = LstmLayer(3, 7, 4).double()
    x = torch.randn(2, 10, 3, dtype=torch.float64)
    whole, end = layer(x)
    first, state = layer(x[:, :6])
    second, again = layer(x[:, 6:], state)
    assert (torch.cat([first, second], 1) - whole).abs().max() < 1e-12
    assert (end[0] - again[0]).abs().max() < 1e-12 and (end[1] - again[1]).abs().max() < 1e-12


@pytest.mark.row(82)
def test_clips_bound_cell_and_output_and_matter() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 20, 4) * 5
    layer = LstmLayer(4, 8, 5, cell_clip=0.3, projection_clip=0.1)
    outputs, (h, c) = layer(x)
    assert outputs.abs().max() <= 0.1 and c.abs().max() <= 0.3 and h.abs().max() <= 0.1
    layer.cell_clip = layer.projection_clip = None
    free, (_, free_c) = layer(x)
    assert free.abs().max() > 0.1 and free_c.abs().max() > 0.3
    layer.cell_clip = layer.projection_clip = 1e6
    assert torch.equal(layer(x)[0], free)


@pytest.mark.row(82)
def test_padding_neither_moves_the_state_nor_speaks() -> None:
    layer = LstmLayer(3, 6, 4).double()
    x = torch.randn(2, 8, 3, dtype=torch.float64)
    outputs, (h, c) = layer(x, lengths=torch.tensor([8, 5]))
    alone, (own_h, own_c) = layer(x[1:, :5])
    assert (outputs[1, :5] - alone[0]).abs().max() < 1e-12 and not outputs[1, 5:].any()
    assert (h[1] - own_h[0]).abs().max() < 1e-12 and (c[1] - own_c[0]).abs().max() < 1e-12


@pytest.mark.row(82)
@pytest.mark.parametrize("projection", [None, 2])
@pytest.mark.parametrize("clip", [None, 0.1])
def test_gradients_of_inputs_states_and_weights(projection: int | None, clip: float | None) -> None:
    """Against differences, rows of unequal length and one that is empty among them; clipping bites."""
    torch.manual_seed(0)
    layer = LstmLayer(3, 4, projection, clip, clip).double()
    lengths = torch.tensor([2, 5, 0, 3])
    x = torch.randn(4, 5, 3, dtype=torch.float64, requires_grad=True)
    h, c = (0.05 * torch.randn(4, n, dtype=torch.float64) for n in (layer.outputs, 4))
    names = [name for name, _ in layer.named_parameters()]

    def run(x: Tensor, h: Tensor, c: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        given = dict(zip(names, weights, strict=True))
        outputs, state = torch.func.functional_call(layer, given, (x, (h, c), lengths))
        return outputs, *state

    if clip is not None:
        assert (run(x, h, c, *layer.parameters())[2].abs() == clip).any()
    parameters = [p.detach().requires_grad_() for p in layer.parameters()]
    assert torch.autograd.gradcheck(run, (x, h.requires_grad_(), c.requires_grad_(), *parameters))


@pytest.mark.row(82)
def test_an_end_state_alone_has_a_gradient() -> None:
    torch.manual_seed(0)
    layer, x = LstmLayer(3, 4).double(), torch.randn(2, 5, 3, dtype=torch.float64)
    theirs = torch.nn.LSTM(3, 4, batch_first=True).double()
    theirs.load_state_dict(
        {
            "weight_ih_l0": layer.input.weight,
            "weight_hh_l0": layer.recurrent.weight,
            "bias_ih_l0": layer.input.bias,
            "bias_hh_l0": torch.zeros(16).double(),
        }
    )
    for part in (0, 1):
        ours = torch.autograd.grad(layer(x)[1][part].sum(), layer.recurrent.weight)[0]
        other = torch.autograd.grad(theirs(x)[1][part].sum(), theirs.weight_hh_l0)[0]
        assert (ours - other).abs().max() < 1e-12
