"""Contrastive loss: 1[same] d² + 1[different] max(0, ε - d)², d = ‖f(x) - f(y)‖. Row 63.

Hadsell, Chopra and LeCun 2006, equation 4, without its factor ½. The notes hinge on the squared distance,
max(0, ε - d²), whose push has the wrong strength near 0: its gradient 2d vanishes where two different items
coincide. `variant="notes"` is theirs. (Their text calls one item both x_j and x_k.)
"""

from typing import Literal

from torch import Tensor

from ragkit.errors import RagkitError


def contrastive_loss(
    a: Tensor,
    b: Tensor,
    same: Tensor,
    margin: float = 1.0,
    variant: Literal["standard", "notes"] = "standard",
) -> Tensor:
    """The loss of each pair, (pairs,): vectors a and b (pairs, size), `same` (pairs,) of booleans."""
    if a.shape != b.shape or same.shape != a.shape[:-1]:
        raise RagkitError(
            f"pairs of shapes {tuple(a.shape)} and {tuple(b.shape)} with labels {tuple(same.shape)}: "
            "give (pairs, size) twice and (pairs,)"
        )
    squared = (a - b).square().sum(dim=-1)
    if variant == "notes":
        return squared.where(same, (margin - squared).clamp_min(0))
    distance = squared.clamp_min(1e-24).sqrt()  # at 0 the root has no gradient
    return squared.where(same, (margin - distance).clamp_min(0).square())
