"""The losses that a cross-encoder learns to rank by, all of them sentence-transformers' own.

With r the logits of a question's passages, of which the first is relevant:

- `bce`, pointwise: the binary cross-entropy of every pair by itself,
  mean over pairs of -[y log sigma(r) + (1 - y) log(1 - sigma(r))];
- `listmle`, listwise: Plackett-Luce, the probability of an order as a sequence of choices (Xia et al. 2008,
  "Listwise approach to learning to rank"). The order of what is not relevant is unknown, and summed over it
  leaves the first choice: -log( exp r_1 / sum_j exp r_j ). It is the conditional logit that the hybrid's
  weights are fitted by (`ragkit.retrieval.fusion`);
- `lambda`: LambdaLoss, a bound of nDCG (Wang et al. 2018, NDCG-Loss2++): the mean, over pairs of a relevant
  passage at rank i by the logits and another at rank j, of -w_ij log2 sigma(r_i - r_j), with G the gains over
  the ideal DCG, D(k) = log2(1 + k) and
  w_ij = |G_i - G_j| (10 |1/D(|i-j|) - 1/D(|i-j|+1)| + |1/D(i) - 1/D(j)|).
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ragkit.training.ranking.data import RankedList

LossName = Literal["bce", "listmle", "lambda"]


def ranking_loss(model: Any, name: LossName) -> nn.Module:
    """The loss over the columns that `columns` makes.

    Args:
        model: the CrossEncoder that is trained, with one output.
    """
    from sentence_transformers.cross_encoder import losses

    if name == "bce":
        return losses.BinaryCrossEntropyLoss(model)
    at_once = -1  # all pairs of a batch: the batches are made alike in length
    if name == "listmle":
        first = losses.PListMLELambdaWeight(first_choice)
        return losses.PListMLELoss(model, first, mini_batch_size=at_once)
    return losses.LambdaLoss(model, losses.NDCGLoss2PPScheme(), mini_batch_size=at_once)


def columns(name: LossName, batch: Sequence[RankedList]) -> dict[str, list[Any]]:
    """The columns that the loss takes: a row a pair for `bce`, a row a list for the others."""
    if name != "bce":
        return {
            "question": [one.question for one in batch],
            "passages": [one.texts for one in batch],
            "label": [one.labels for one in batch],
        }
    pairs = [(one.question, *pair) for one in batch for pair in zip(one.texts, one.labels, strict=True)]
    questions, passages, labels = (list(column) for column in zip(*pairs, strict=True))
    return {"question": questions, "passage": passages, "label": labels}


def first_choice(mask: Tensor) -> Tensor:
    """Weight 1 for the first choice of each list, 0 for the others; (lists, passages) as the mask."""
    weights = torch.zeros(mask.shape, device=mask.device)
    weights[:, 0] = mask[:, 0].float()
    return weights
