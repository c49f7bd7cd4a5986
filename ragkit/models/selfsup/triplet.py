"""Triplet loss: max(0, ‖f(x) - f(x⁺)‖² - ‖f(x) - f(x⁻)‖² + ε). Row 64.

As the notes have it, with squared distances (Schroff et al. 2015). torch's `TripletMarginLoss` is another
one: it takes the distances themselves.
"""

from torch import Tensor


def triplet_loss(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0) -> Tensor:
    """The loss of each triplet, (triplets,), of vectors (triplets, size)."""
    pulled = (anchor - positive).square().sum(dim=-1)
    pushed = (anchor - negative).square().sum(dim=-1)
    return (pulled - pushed + margin).clamp_min(0)
