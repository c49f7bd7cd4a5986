"""Barlow Twins: Σ_i (1 - C_ii)² + λ Σ_{i≠j} C_ij², C the cross-correlation of two views' vectors. Row 72.

Zbontar et al. 2021, equations 1 and 2. The notes take representations "of different objects": it is two
views of the same objects, whose units are to agree with themselves and say nothing about one another.
"""

import torch
from torch import Tensor
from torch.nn import functional


def cross_correlation(a: Tensor, b: Tensor) -> Tensor:
    """C (size, size): the correlation of each unit of a with each of b, (batch, size), over the batch.

    A unit that is constant in the batch correlates with nothing.
    """
    first, second = (functional.batch_norm(x, None, None, training=True) for x in (a, b))
    return first.mT @ second / len(a)


def barlow_twins_loss(a: Tensor, b: Tensor, off_diagonal: float = 5e-3) -> Tensor:
    """The loss, a scalar; `off_diagonal` is λ."""
    c = cross_correlation(a, b)
    kept = torch.eye(len(c), dtype=torch.bool, device=c.device)
    return (1 - c[kept]).square().sum() + off_diagonal * c[~kept].square().sum()
