"""The losses that a dual encoder learns by, all of them sentence-transformers' own.

With q a question's vector, p+ its passage's, p- a wrong one's, and s the encoder's similarity times a scale:

- `nll`, DPR's (Karpukhin et al. 2020, equation 2), over the passages of the whole batch:
  -log( exp s(q, p+) / sum over p of exp s(q, p) );
- `triplet`: [ |q - p+|^2 - |q - p-|^2 + margin ]+, with squared distances;
- `contrastive` (Hadsell, Chopra, LeCun 2006, equation 4): |q - p+|^2 / 2 and [ margin - |q - p-| ]+^2 / 2.

For DPR's inner products the scale is 1; cosines, which lie in [-1, 1], are multiplied by 20, a temperature
of 0.05.
"""

from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ragkit.errors import RagkitError

LossName = Literal["nll", "triplet", "contrastive"]
COSINE_SCALE = 20.0
MARGINS: dict[str, float] = {"triplet": 0.5, "contrastive": 1.0}
"""For vectors of length one, whose squared distances are 2 - 2 cos."""


def retrieval_loss(
    model: Any,
    name: LossName,
    scale: float | None = None,
    margin: float | None = None,
    mini_batch: int | None = None,
    group: int = 1,
) -> nn.Module:
    """The loss module over the rows that `columns` makes.

    Args:
        model: the SentenceTransformer that is trained; its `similarity_fn_name` is "cosine" or "dot".
        scale: of `nll`; by default 20 for cosines, 1 for inner products.
        margin: of the other two; by default as in `MARGINS`.
        mini_batch: texts that are encoded at once, with cached gradients (Gao et al. 2021): the loss and the
            gradients are those of the whole batch, the memory that of this many texts. None encodes all at
            once.

        group: questions of a row, which share its passages: of `nll`, the mean over them.

    Raises:
        RagkitError: if gradients are to be cached, or passages shared, where the loss does not allow it.
    """
    if (mini_batch is not None or group > 1) and name != "nll":
        raise RagkitError(f"cached gradients and grouped questions serve the loss nll alone, not {name}")
    if mini_batch is not None and group > 1:
        raise RagkitError(
            "cached gradients take one question a passage: leave out the group or the mini-batch"
        )
    from sentence_transformers.sentence_transformer import losses
    from sentence_transformers.util import cos_sim, dot_score

    if name == "nll":
        cosine = model.similarity_fn_name == "cosine"
        settings = {
            "scale": scale or (COSINE_SCALE if cosine else 1.0),
            "similarity_fct": cos_sim if cosine else dot_score,
        }
        if mini_batch is None:
            loss = losses.MultipleNegativesRankingLoss(model, **settings)
            return SharedPassages(loss, group) if group > 1 else loss
        return losses.CachedMultipleNegativesRankingLoss(model, mini_batch_size=mini_batch, **settings)
    margin = MARGINS[name] if margin is None else margin
    if name == "triplet":
        return losses.TripletLoss(model, squared_distance, margin)
    from sentence_transformers.sentence_transformer.losses.contrastive import SiameseDistanceMetric

    return losses.ContrastiveLoss(model, SiameseDistanceMetric.EUCLIDEAN, margin)


def columns(
    name: LossName,
    questions: list[tuple[str, ...]],
    positives: list[str],
    negatives: list[tuple[str, ...]],
) -> list[dict[str, Any]]:
    """Rows with the columns that sentence-transformers' loss of that name takes, in its order.

    `questions` holds a group a row, of one question for all but `nll`. For `contrastive` each question comes
    once with its positive (label 1), then with each negative (label 0).
    """
    if name == "contrastive":
        pairs = [(q, p, 1) for (q,), p in zip(questions, positives, strict=True)]
        pairs += [(q, n, 0) for (q,), wrong in zip(questions, negatives, strict=True) for n in wrong]
        return [{"question": q, "passage": text, "label": label} for q, text, label in pairs]
    return [
        {f"question_{rank}": text for rank, text in enumerate(asked, 1)}
        | {"passage": p}
        | {f"negative_{rank}": text for rank, text in enumerate(wrong, 1)}
        for asked, p, wrong in zip(questions, positives, negatives, strict=True)
    ]


class SharedPassages(nn.Module):
    """DPR's loss where several questions share a passage: passages are encoded once for all of them.

    The mean over the `group` question columns of sentence-transformers' loss. A passage costs ten times a
    question, so this is most of the work saved where a passage answers many questions.
    """

    def __init__(self, loss: Any, group: int) -> None:
        super().__init__()
        self.model, self.loss, self._group = loss.model, loss, group

    def forward(self, features: Iterable[dict[str, Tensor]], labels: Tensor | None) -> Tensor:
        """`features`: the question columns, then the positives, then the negatives, (rows, tokens) each."""
        from sentence_transformers.base.losses.merged_forward import embed_columns

        every = list(features)
        questions = embed_columns(self.model, every[: self._group], separate_first=False)
        passages = embed_columns(self.model, every[self._group :], separate_first=False)
        of_columns = [
            self.loss.compute_loss_from_embeddings([asked, *passages], labels) for asked in questions
        ]
        return torch.stack(of_columns).mean()


def squared_distance(a: Tensor, b: Tensor) -> Tensor:
    """|a - b|^2 of rows, (n, d) each to (n,)."""
    return (a - b).square().sum(dim=-1)
