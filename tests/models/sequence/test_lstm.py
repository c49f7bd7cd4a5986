"""The LSTM against torch.nn.LSTM, with projection, clipping and lengths."""

import pytest
import torch

from ragkit.models.sequence.lstm import Lstm, LstmLayer


def copied(theirs: torch.nn.LSTM) -> Lstm:
    sizes = theirs.input_size, theirs.hidden_size, theirs.num_layers, theirs.proj_size or None
    ours = Lstm(*sizes).double()
    with torch.no_grad():
        for at, layer in enumerate(ours.layers):
            assert isinstance(layer, LstmLayer)
            layer.input.weight.copy_(getattr(theirs, f"weight_ih_l{at}"))
            layer.input.bias.copy_(getattr(theirs, f"bias_ih_l{at}") + getattr(theirs, f"bias_hh_l{at}"))
            layer.recurrent.weight.copy_(getattr(theirs, f"weight_hh_l{at}"))
            if layer.projection is not None:
                layer.projection.weight.copy_(getattr(theirs, f"weight_hr_l{at}"))
    return ours


@pytest.mark.row(82)
@pytest.mark.parametrize("projection", [0, 5])
def test_equals_torch_with_gradients(projection: int) -> None:
    torch.manual_seed(0)
    theirs = torch.nn.LSTM(6, 11, num_layers=2, proj_size=projection, batch_first=True).double()
    ours = copied(theirs)
    x = torch.randn(4, 9, 6, dtype=torch.float64, requires_grad=True)
    expected, (h, c) = theirs(x)
    outputs, states = ours(x)
    assert (outputs - expected).abs().max() < 1e-10
    for layer, (own_h, own_c) in enumerate(states):
        assert (own_h - h[layer]).abs().max() < 1e-10 and (own_c - c[layer]).abs().max() < 1e-10
    weights = torch.randn_like(expected)
    first = torch.autograd.grad((expected * weights).sum(), [x, theirs.weight_hh_l0])
    second = torch.autograd.grad((outputs * weights).sum(), [x, ours.layers[0].recurrent.weight])
    assert all((a - b).abs().max() < 1e-10 for a, b in zip(first, second, strict=True))


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
