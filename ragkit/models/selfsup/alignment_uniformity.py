"""What a contrastive loss balances (Wang and Isola 2020, section 4); row 65.

    alignment  = E |f(x) - f(y)|^alpha                 over positive pairs (x, y)
    uniformity = log E exp(-t |f(x) - f(y)|^2)         over independent pairs (x, y)

with f of length one; both are better the lower they are. Alignment is 0 where positives coincide, as they do
without augmentation: then it says nothing, the loss is its uniformity alone, and every text is pushed from
every other one, like ones included. Uniformity is 0 where all vectors are one; for random directions in many
dimensions, whose squared distances are 2, it is close to -2 t.
"""

import torch
from torch import Tensor


def alignment(a: Tensor, b: Tensor, alpha: float = 2.0) -> Tensor:
    """Mean |a - b|^alpha of positive pairs: rows of length one, (n, d) each, to a scalar."""
    return (a - b).norm(dim=1).pow(alpha).mean()


def uniformity(vectors: Tensor, t: float = 2.0) -> Tensor:
    """log of the mean of exp(-t |x - y|^2) over the pairs of different rows: (n, d), n >= 2, to a scalar."""
    squared = torch.pdist(vectors).square()
    return torch.logsumexp(-t * squared, dim=0) - torch.log(squared.new_tensor(float(len(squared))))
