"""What the parity checks share: differences, and the weights of torch's own modules copied into ours."""

from typing import TypeVar

import torch
from torch import Tensor, nn

from ragkit.models.sequence.lstm import Lstm, LstmLayer
from ragkit.models.sequence.multi_head import MultiHeadAttention

Module = TypeVar("Module", bound=nn.Module)


def double(*shape: int) -> Tensor:
    """Normal numbers in float64 that a gradient can be asked of."""
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def off(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference."""
    return float((ours.detach() - theirs.detach()).abs().max())


def gradients_off(ours: Tensor, theirs: Tensor, inputs: list[Tensor], their_inputs: list[Tensor]) -> float:
    """The largest difference of the gradients of a weighted sum of both outputs."""
    weights = torch.randn_like(ours)
    first = torch.autograd.grad((ours * weights).sum(), inputs)
    second = torch.autograd.grad((theirs * weights).sum(), their_inputs)
    return max(off(a, b) for a, b in zip(first, second, strict=True))


def stirred(module: Module) -> Module:
    """The module in float64 with every parameter moved: norms and biases must be copied too."""
    with torch.no_grad():
        for parameter in module.double().parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return module


@torch.no_grad()
def copy_lstm(theirs: nn.LSTM) -> Lstm:
    ours = Lstm(theirs.input_size, theirs.hidden_size, theirs.num_layers, theirs.proj_size or None).double()
    for at, layer in enumerate(ours.layers):
        assert isinstance(layer, LstmLayer)
        layer.input.weight.copy_(getattr(theirs, f"weight_ih_l{at}"))
        layer.input.bias.copy_(getattr(theirs, f"bias_ih_l{at}") + getattr(theirs, f"bias_hh_l{at}"))
        layer.recurrent.weight.copy_(getattr(theirs, f"weight_hh_l{at}"))
        if layer.projection is not None:
            layer.projection.weight.copy_(getattr(theirs, f"weight_hr_l{at}"))
    return ours


@torch.no_grad()
def copy_attention(theirs: nn.MultiheadAttention, ours: MultiHeadAttention) -> None:
    for at, part in enumerate((ours.query, ours.key, ours.value)):
        part.weight.copy_(theirs.in_proj_weight.chunk(3)[at])
        part.bias.copy_(theirs.in_proj_bias.chunk(3)[at])
    ours.out.load_state_dict(theirs.out_proj.state_dict())


ENCODER = {
    "norm1": "attention_norm", "norm2": "feed_forward_norm",
    "linear1": "feed_forward.rise", "linear2": "feed_forward.fall",
}  # fmt: skip
DECODER = {
    "norm1": "self_norm", "norm2": "cross_norm", "norm3": "feed_forward_norm",
    "linear1": "feed_forward.rise", "linear2": "feed_forward.fall",
}  # fmt: skip
"""Parts of torch's layers and of our blocks."""


def copy_block(theirs: nn.Module, ours: nn.Module) -> None:
    """A `TransformerEncoderLayer` or `TransformerDecoderLayer` into our block of that name."""
    decodes = isinstance(theirs, nn.TransformerDecoderLayer)
    for name, own in (DECODER if decodes else ENCODER).items():
        ours.get_submodule(own).load_state_dict(theirs.get_submodule(name).state_dict())
    attentions = {"self_attn": "self_attention", "multihead_attn": "cross_attention"}
    for name, own in (attentions if decodes else {"self_attn": "attention"}).items():
        theirs_of, ours_of = theirs.get_submodule(name), ours.get_submodule(own)
        assert isinstance(theirs_of, nn.MultiheadAttention) and isinstance(ours_of, MultiHeadAttention)
        copy_attention(theirs_of, ours_of)
