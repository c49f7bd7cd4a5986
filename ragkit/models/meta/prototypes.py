"""Prototypes: c_k = mean of f(x_i) over class k, P(k | x) = softmax_k(-‖f(x) - c_k‖²). No row of its own.

Snell, Swersky and Zemel 2017, equations 1 and 2. The notes do not name it; it is the simplest of the metric
methods, and what the others have to beat. With one item a class it is the RBF kernel predictor of row 153.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class PrototypicalNetwork(nn.Module):
    """`encoder` from items (items, ...) to vectors (items, size)."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, query: Tensor, support: Tensor, labels: Tensor, ways: int) -> Tensor:
        """log P(k | x), (queries, ways)."""
        vectors: Tensor = self.encoder(torch.cat([query, support]))
        x, s = vectors.split([len(query), len(support)])
        return prototype_scores(x, prototypes(s, labels, ways)).log_softmax(dim=1)


def prototypes(support: Tensor, labels: Tensor, ways: int) -> Tensor:
    """The mean vector of each class, (ways, size), of vectors (items, size); every class has an item."""
    of_class = functional.one_hot(labels, ways).to(support.dtype)
    return (of_class.mT @ support) / of_class.sum(dim=0)[:, None]


def prototype_scores(query: Tensor, centres: Tensor) -> Tensor:
    """-‖x - c_k‖², (queries, ways), of vectors (queries, size) and (ways, size)."""
    return -(query[:, None] - centres).square().sum(dim=2)
