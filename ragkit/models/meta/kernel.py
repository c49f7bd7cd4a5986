"""Kernel predictor: P_θ(y | x, S) = Σ_{(x_i,y_i)∈S} k_θ(x, x_i) y_i, Σ_i k_θ(x, x_i) = 1. Row 153.

The notes leave out that the weights have to sum to 1, without which P is none: here k is the softmax of any
score of x and x_i. With -‖x - x_i‖² / 2σ² as the score it is Nadaraya and Watson's regression of 1964 on the
classes; with σ → 0 the nearest neighbour decides, with σ → ∞ the largest class.
"""

import torch
from torch import Tensor
from torch.nn import functional


def kernel_prediction(weights: Tensor, labels: Tensor, ways: int) -> Tensor:
    """P(y | x, S), (queries, ways), of weights (queries, items) and the items' labels (items,)."""
    return weights @ functional.one_hot(labels, ways).to(weights.dtype)


def log_kernel_prediction(scores: Tensor, labels: Tensor, ways: int) -> Tensor:
    """log P(y | x, S), (queries, ways), with the softmax of scores (queries, items) as weights; -inf for a
    class without an item."""
    log_weights = scores.log_softmax(dim=1)
    elsewhere = functional.one_hot(labels, ways).mT == 0
    return log_weights[:, None].masked_fill(elsewhere, -torch.inf).logsumexp(dim=2)


def rbf_scores(query: Tensor, support: Tensor, width: float) -> Tensor:
    """-‖x - x_i‖² / 2σ², (queries, items), of vectors (queries, size) and (items, size)."""
    return -(query[:, None] - support).square().sum(dim=2) / (2 * width**2)
