"""Hard negatives: of each question the k passages it scores highest that do not answer it. Row 67.

The notes ask for hard negatives and say no more; an index finds them. `ragkit mine` does this over a whole
index, and leaves out passages that hold the answer.
"""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor


def hard_negatives(questions: Tensor, passages: Tensor, gold: Sequence[Collection[int]], k: int) -> Tensor:
    """Places of the k best wrong passages by inner product, best first, (questions, k).

    Args:
        questions, passages: vectors (questions, size) and (passages, size).
        gold: the places of the right passages of each question.
    """
    scores = questions @ passages.mT
    for row, right in zip(scores, gold, strict=True):
        row[list(right)] = -torch.inf
    return scores.topk(k).indices
