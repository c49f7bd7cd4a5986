"""Structured pruning: whole units go, and what is left is a smaller dense network that is really faster.

    y = W_2 h + b_2,  h = a(W_1 x + b_1):   row u of W_1, b_1 and column u of W_2 are dropped together

A unit is one hidden unit, or one head of attention, whose rows of query, key and value and columns of the
output go together (Michel et al. 2019). A unit matters by what dropping it changes once its mean is put
into the bias, b_2 + W_2u E[h_u]:

    E ‖W_2u (h_u - E[h_u])‖²

over sample inputs; no labels and no gradient are needed. Integration 12.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ragkit.errors import RagkitError


def narrowed(
    into: Sequence[nn.Linear],
    out_of: nn.Linear,
    keep: Tensor,
    size: int = 1,
    means: Tensor | None = None,
) -> tuple[list[nn.Linear], nn.Linear]:
    """The layers that lead into the units and the one that leads out of them, with only the units of `keep`.

    Args:
        into: (units x size, inputs) each: one for hidden units; query, key and value for heads.
        out_of: (outputs, units x size).
        keep: numbers of the units that stay, in order, (kept,).
        size: features a unit, 1 or a head's size.
        means: of the inputs of `out_of`, (units x size): those of dropped units go into its bias, if any.

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
    last = _part(out_of, features, 1)
    if means is not None and last.bias is not None:
        dropped = means.clone()
        dropped[features] = 0
        with torch.no_grad():
            last.bias.add_(out_of.weight @ dropped)
    return [_part(layer, features, 0) for layer in into], last


def importance(out_of: nn.Linear, seen: Tensor, size: int = 1) -> Tensor:
    """E ‖W_u (h_u - E[h_u])‖² of each unit, (units,); `seen`: inputs of `out_of`, (n, units x size)."""
    centred = (seen - seen.mean(0)).unflatten(1, (-1, size))  # (n, units, size)
    columns = out_of.weight.detach().unflatten(1, (-1, size))  # (outputs, units, size)
    spread = torch.einsum("nuk,nul->ukl", centred, centred) / len(seen)
    return torch.einsum("ouk,ukl,oul->u", columns, spread, columns)


def _part(layer: nn.Linear, features: Tensor, dim: int) -> nn.Linear:
    weight = layer.weight.detach().index_select(dim, features)
    outputs, inputs = weight.shape
    made = nn.Linear(inputs, outputs, bias=layer.bias is not None, dtype=weight.dtype)
    with torch.no_grad():
        made.weight.copy_(weight)
        if layer.bias is not None:
            made.bias.copy_(layer.bias[features] if dim == 0 else layer.bias)
    return made
