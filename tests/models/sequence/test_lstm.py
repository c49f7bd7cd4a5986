"""The LSTM against torch.nn.LSTM, with projection, clipping and lengths."""

import pytest
import torch

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
