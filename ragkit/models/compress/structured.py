"""Structured pruning: whole units go, and what is left is a smaller dense network that is really faster.

    y = W_2 a(W_1 x + b_1):   row u of W_1, b_1 and column u of W_2 are dropped together

A unit is one hidden unit, or one head of attention, whose rows of query, key and value and columns of the
output go together (Michel et al. 2019). How much a unit matters is judged by |Σ θ ∂L/∂θ| over its weights,
the first-order change of the loss when it is dropped (Molchanov et al. 2017), or by its weights' norm where
there is no data. Integration 12.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ragkit.errors import RagkitError


def narrowed(
    into: Sequence[nn.Linear], out_of: nn.Linear, keep: Tensor, size: int = 1
) -> tuple[list[nn.Linear], nn.Linear]:
    """The layers that lead into the units and the one that leads out of them, with only the units of `keep`.

    Args:
        into: (units x size, inputs) each: one for hidden units; query, key and value for heads.
        out_of: (outputs, units x size).
        keep: numbers of the units that stay, in order, (kept,).
        size: features a unit, 1 or a head's size.

    Raises:
        RagkitError: if no unit stays, or the layers do not fit together.
    """
    width = out_of.in_features
    if any(layer.out_features != width for layer in into) or width % size:
        raise RagkitError(
            f"layers into {[layer.out_features for layer in into]} features and out of {width} in units of "
            f"{size} do not fit together"
        )
    if not len(keep):
        raise RagkitError("no unit is left: keep at least one")
    features = (keep[:, None] * size + torch.arange(size)).flatten()
    return [_part(layer, features, 0) for layer in into], _part(out_of, features, 1)


def importance(into: Sequence[nn.Linear], out_of: nn.Linear, size: int = 1) -> Tensor:
    """|Σ θ ∂L/∂θ| of each unit from the gradients at hand; without gradients ‖θ‖². (units,)."""
    products = [(_times_gradient(layer.weight), 1) for layer in into]
    products.append((_times_gradient(out_of.weight), 0))
    total = torch.stack([product.sum(dim) for product, dim in products]).sum(0)
    return total.view(-1, size).sum(1).abs()


def _times_gradient(weight: Tensor) -> Tensor:
    other = weight if weight.grad is None else weight.grad
    return (weight * other).detach()


def _part(layer: nn.Linear, features: Tensor, dim: int) -> nn.Linear:
    weight = layer.weight.detach().index_select(dim, features)
    outputs, inputs = weight.shape
    made = nn.Linear(inputs, outputs, bias=layer.bias is not None, dtype=weight.dtype)
    with torch.no_grad():
        made.weight.copy_(weight)
        if layer.bias is not None:
            made.bias.copy_(layer.bias[features] if dim == 0 else layer.bias)
    return made
