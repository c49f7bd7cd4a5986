"""SimCLR: NT-Xent, -log exp(s_ij/τ) / Σ_{k≠i} exp(s_ik/τ), over the 2N views of N items. Row 70.

s is the cosine, j the other view of i; every view is an anchor (Chen et al. 2020, equation 1). The notes
draw "4 CNNs" and a triplet loss: it is one network, applied to each view, and `variant="notes"` is the
triplet loss over each pair of views and the views of the next item.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from ragkit.models.selfsup.triplet import triplet_loss


def nt_xent(
    a: Tensor, b: Tensor, temperature: float = 0.5, variant: Literal["standard", "notes"] = "standard"
) -> Tensor:
    """The mean loss, a scalar, of two views of N items: vectors (N, size) each, N of 2 at least."""
    views = functional.normalize(torch.cat([a, b]), dim=1)
    if variant == "notes":
        first, second = views.chunk(2)
        return triplet_loss(first, second, second.roll(1, 0)).mean()
    scores = views @ views.mT / temperature
    scores.fill_diagonal_(-torch.inf)
    other = torch.arange(len(views)).roll(len(a))
    return functional.cross_entropy(scores, other.to(scores.device))
