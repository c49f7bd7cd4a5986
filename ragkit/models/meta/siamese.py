"""Convolutional siamese network: P(same | x, x_i) = σ(w·|f(x) - f(x_i)| + b). Row 154.

Koch, Zemel and Salakhutdinov 2015, section 3.1. Trained to tell whether two images are of one class; a new
image takes the class of the support item it is most surely the same as, c(argmax_i P(x, x_i)), as the notes
have it. The notes leave out the learnt weights of the coordinates and the σ.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConvSiamese(nn.Module):
    """`encoder` from images (items, ...) to vectors (items, size)."""

    def __init__(self, encoder: nn.Module, size: int) -> None:
        super().__init__()
        self.encoder, self.weigh = encoder, nn.Linear(size, 1)

    def forward(self, query: Tensor, support: Tensor) -> Tensor:
        """The logit of "same" of each pair, (queries, items)."""
        vectors: Tensor = self.encoder(torch.cat([query, support]))
        x, other = vectors.split([len(query), len(support)])
        logits: Tensor = self.weigh((x[:, None] - other).abs())
        return logits.squeeze(2)


def same_loss(logits: Tensor, same: Tensor) -> Tensor:
    """Binary cross-entropy, a scalar, of logits and booleans (queries, items); equal pairs, which are few,
    weigh as much as all unequal ones."""
    of_pair = functional.binary_cross_entropy_with_logits(logits, same.to(logits.dtype), reduction="none")
    return (of_pair[same].mean() + of_pair[~same].mean()) / 2


def most_alike(logits: Tensor, labels: Tensor) -> Tensor:
    """The label, (queries,), of the support item that each query is most surely the same as."""
    return labels[logits.argmax(dim=1)]
