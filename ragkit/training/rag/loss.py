"""The marginal likelihood that RAG is trained by (Lewis et al. 2020, section 2.1).

    RAG-Sequence  p(y|x) = sum_z p(z|x) prod_i p(y_i | x, z, y_<i)
    RAG-Token     p(y|x) = prod_i sum_z p(z|x) p(y_i | x, z, y_<i)

z runs over the k passages retrieved, and p(z|x) is the softmax over their k scores alone: whatever was not
retrieved has probability 0. Nothing says which passage is the right one; the gradient for a passage's score
is its posterior p(z|x,y) minus its prior p(z|x).
"""

from collections.abc import Callable
from typing import Literal

from torch import Tensor

LossName = Literal["sequence", "token"]


def sequence_nll(scores: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
    """-log p(y|x) of RAG-Sequence, (b,).

    Args:
        scores: log-odds of the passages, question . passage / temperature, (b, k).
        tokens: log p(y_i | x, z, y_<i) of the answer's tokens, its end included, (b, k, t).
        mask: True on tokens, False behind the end, (b, t).
    """
    likelihood = tokens.masked_fill(~mask[:, None], 0.0).sum(-1)
    return -(scores.log_softmax(-1) + likelihood).logsumexp(-1)


def token_nll(scores: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
    """-log p(y|x) of RAG-Token, (b,): see `sequence_nll`."""
    mixed = (scores.log_softmax(-1)[..., None] + tokens).logsumexp(1)
    return -mixed.masked_fill(~mask, 0.0).sum(-1)


LOSSES: dict[LossName, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "sequence": sequence_nll,
    "token": token_nll,
}
