"""Rows 75, 76, 78, 82: recurrent networks, their gradient through time, and padding."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ragkit.chapters.sequence.parity import copy_lstm, double, gradients_off, off
from ragkit.models.sequence.additive_attention import AttentiveEncoderDecoder
from ragkit.models.sequence.backpropagation_through_time import clip_gradient, truncated_backward
from ragkit.models.sequence.encoder_decoder import EncoderDecoder
from ragkit.models.sequence.lstm import LstmLayer
from ragkit.models.sequence.rnn import Rnn


@torch.no_grad()
def rnn() -> dict[str, float]:
    """Row 75: both forms, hidden states, last state and output."""
    torch.manual_seed(0)
    x, errors = double(2, 7, 4), []
    for bias in (False, True):
        theirs: Any = nn.RNN(4, 6, bias=bias, batch_first=True).double()
        ours = Rnn(4, 6, 3, variant="standard" if bias else "notes").double()
        ours.input.weight.copy_(theirs.weight_ih_l0)
        ours.recurrent.weight.copy_(theirs.weight_hh_l0)
        if bias:
            ours.input.bias.copy_(theirs.bias_ih_l0 + theirs.bias_hh_l0)
        expected, last = theirs(x)
        states, state = ours.hidden_states(x)
        output = functional.linear(expected, ours.output.weight, ours.output.bias).softmax(-1)
        errors += [off(states, expected), off(state, last[0]), off(ours(x)[0], output)]
    return {"error": max(errors)}


def through_time() -> dict[str, float]:
    """Row 76: autograd of the sequence unrolled at once; torch's clipping."""
    torch.manual_seed(0)
    model = Rnn(4, 6, 3).double()
    x, y = torch.randn(2, 9, 4, dtype=torch.float64), torch.randint(3, (2, 9))
    parameters = list(model.parameters())

    def loss(inputs: Tensor, targets: Tensor, state: Any) -> tuple[Tensor, Any]:
        logits, state = model.logits(inputs, state)
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum"), state

    full = torch.autograd.grad(loss(x, y, None)[0], parameters)

    def from_full(window: int) -> float:
        model.zero_grad()
        truncated_backward(loss, x, y, window)
        return max(off(p.grad, g) for p, g in zip(parameters, full, strict=True) if p.grad is not None)

    found = {"window of all tokens: gradient off": from_full(9), "window of 3: gradient off": from_full(3)}
    clipped = []
    for clip in (clip_gradient, nn.utils.clip_grad_norm_):
        from_full(9)
        clip(parameters, 0.1)
        clipped.append([p.grad.clone() for p in parameters if p.grad is not None])
    return found | {"clipped gradient off": max(off(a, b) for a, b in zip(*clipped, strict=True))}


@torch.no_grad()
def padding() -> dict[str, float]:
    """Row 78: a short row alone, beside a long one, and with anything in its padding; and the manual loop."""
    torch.manual_seed(0)
    source, lengths = torch.tensor([[3, 4, 5, 6, 7, 8], [5, 3, 4, 0, 0, 0]]), torch.tensor([6, 3])
    inputs = torch.tensor([[1, 4, 5, 6], [1, 3, 3, 5]])
    garbage = source.clone()
    garbage[1, 3:] = torch.tensor([8, 7, 8])
    moved = []
    model = EncoderDecoder(9, 9, 4, 6).double()
    attentive = AttentiveEncoderDecoder(9, 9, 4, 6).double()
    for logits in (model, lambda *given: attentive(*given)[0]):
        whole = logits(source, lengths, inputs)
        moved.append(off(logits(source[1:, :3], lengths[1:], inputs[1:]), whole[1:]))
        moved.append(off(logits(garbage, lengths, inputs), whole))
    state = None
    for token in source[:1].unbind(1):
        _, state = model.encoder.layers[0](model.tokens(token[:, None]), state)
    assert state is not None
    by_hand = model.decoder(inputs[:1], state)
    return {
        "logits moved by padding": max(moved),
        "off the manual loop": off(model(source[:1], lengths[:1], inputs[:1]), by_hand),
    }


def lstm() -> dict[str, float]:
    """Row 82: two layers, with and without a projection; outputs, states, gradients."""
    torch.manual_seed(0)
    errors, gradients = [], []
    for projection in (0, 5):
        theirs: Any = nn.LSTM(6, 11, num_layers=2, proj_size=projection, batch_first=True).double()
        ours, x = copy_lstm(theirs), double(4, 9, 6)
        expected, (h, c) = theirs(x)
        outputs, states = ours(x)
        errors.append(off(outputs, expected))
        errors += [max(off(a, h[at]), off(b, c[at])) for at, (a, b) in enumerate(states)]
        first = ours.layers[0]
        assert isinstance(first, LstmLayer)
        inputs, others = [x, first.recurrent.weight], [x, theirs.weight_hh_l0]
        gradients.append(gradients_off(outputs, expected, inputs, others))
    return {"error": max(errors), "gradient off": max(gradients)}
