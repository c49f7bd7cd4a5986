"""Magnitude pruning: m_i = 1[|θ_i| >= t], θ ← m ⊙ θ. Row 143.

The notes prune below a threshold t; where a share of the weights is wanted instead, t is that quantile of
|θ|, of each matrix or (`together`) of all matrices at once. Biases and norms stay: they are few, and a
unit without its bias is not the same unit.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ragkit.errors import RagkitError

Masks = dict[str, Tensor]
"""By the parameter's name: a boolean tensor of its shape, False where the weight is pruned."""


def threshold_mask(weight: Tensor, threshold: float) -> Tensor:
    """True where |θ| >= t, of the weight's shape."""
    return weight.detach().abs() >= threshold


def share_mask(weight: Tensor, left: float, among: Tensor | None = None) -> Tensor:
    """True for the share `left` of the weights that is largest; ties go to the first.

    Args:
        among: weights that may be left (a mask of before), of which `left` is the share.

    Raises:
        RagkitError: if `left` is outside 0..1.
    """
    if not 0 <= left <= 1:
        raise RagkitError(f"a share of {left} of the weights: give one from 0 to 1")
    size = weight.detach().abs().flatten()
    if among is not None:
        size = size.masked_fill(~among.flatten(), -1.0)
    count = round(left * (size.numel() if among is None else int(among.sum())))
    mask = torch.zeros_like(size, dtype=torch.bool)
    mask[size.sort(descending=True, stable=True).indices[:count]] = True
    return mask.view(weight.shape)


def matrices(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are pruned: those of two dimensions and more, by name."""
    return {name: p for name, p in model.named_parameters() if p.ndim >= 2}


def magnitude_masks(
    model: nn.Module, left: float, masks: Masks | None = None, together: bool = False
) -> Masks:
    """Masks that leave the share `left` of each matrix, or of all `together`; of what `masks` had left."""
    found = matrices(model)
    if not together:
        return {
            name: share_mask(p, left, None if masks is None else masks[name]) for name, p in found.items()
        }
    every = torch.cat([p.detach().flatten() for p in found.values()])
    among = None if masks is None else torch.cat([masks[name].flatten() for name in found])
    parts = share_mask(every, left, among).split([p.numel() for p in found.values()])
    return {name: part.view(p.shape) for (name, p), part in zip(found.items(), parts, strict=True)}


def apply_masks(model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """θ ← m ⊙ θ, in place."""
    with torch.no_grad():
        for name, mask in masks.items():
            model.get_parameter(name).mul_(mask)


def left(masks: Mapping[str, Tensor]) -> float:
    """The share of weights that the masks leave: ‖m‖₀ / |θ|."""
    return sum(int(m.sum()) for m in masks.values()) / sum(m.numel() for m in masks.values())
