"""Computing in bfloat16 with float32 weights, and attention that is lean on a CPU.

On a processor with bfloat16 matrix instructions these two are worth a third of a training step: autocast
converts activations to and fro and keeps softmax in float32, and eager attention passes over the (batch,
heads, tokens, tokens) scores twice more, once to scale and once to mask them.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

LEAN_ATTENTION = "ragkit_lean"


class HalfPrecision(nn.Module):
    """Runs a model on bfloat16 copies of its weights and inputs; gradients arrive at the float32 originals.

    Batch norms stay in float32, as their running statistics do.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self._kept = {
            f"{name}.{own}"
            for name, module in model.named_modules()
            if isinstance(module, nn.modules.batchnorm._BatchNorm)
            for own, _ in module.named_parameters()
        }

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        copies = {
            name: parameter if name in self._kept else parameter.to(torch.bfloat16)
            for name, parameter in self.model.named_parameters()
        }
        inputs = tuple(_halved(value) for value in args)
        return functional_call(self.model, copies, inputs, {k: _halved(v) for k, v in kwargs.items()})


def _halved(value: Any) -> Any:
    """A floating-point tensor in bfloat16, anything else as it is."""
    return value.to(torch.bfloat16) if isinstance(value, Tensor) and value.is_floating_point() else value


def lean_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """Softmax(q k / sqrt(d) + mask) v with scale and padding mask inside the one matrix product.

    The query is scaled before the product, and the mask becomes one more component of the keys, which
    every query multiplies with 1. Only a mask that is the same for all queries can be put that way: this
    is for bidirectional encoders without dropout.

    Args:
        query, key, value: (batch, heads, tokens, size).
        attention_mask: added to the scores, (batch, 1, any, tokens); None for none.
    """
    if dropout:
        raise ValueError("lean attention has no dropout")
    query = query * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if attention_mask is not None:
        # Finite, and the row padded to 8 columns: infinities times 0 are no numbers, odd widths are slow.
        bias = attention_mask[:, :, -1, :, None].clamp(min=-1e4).to(key.dtype)
        zeros = key.new_zeros(1).expand(*key.shape[:-1], 7)
        key = torch.cat([key, bias.expand(*key.shape[:-1], 1), zeros], dim=-1)
        ones = query.new_ones(1).expand(*query.shape[:-1], 1)
        query = torch.cat([query, ones, query.new_zeros(1).expand(*query.shape[:-1], 7)], dim=-1)
    weights = torch.softmax(query @ key.transpose(-1, -2), dim=-1)
    return (weights @ value).transpose(1, 2).contiguous(), None


def register_lean_attention() -> str:
    """Makes `attn_implementation=LEAN_ATTENTION` known to transformers and returns that name."""
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, eager_mask
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register(LEAN_ATTENTION, lean_attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register(LEAN_ATTENTION, eager_mask)
    return LEAN_ATTENTION
