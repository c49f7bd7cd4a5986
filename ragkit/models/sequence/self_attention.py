"""Scaled dot-product attention: softmax(Q Kᵀ / √n) V (Vaswani et al. 2017, eq. 1). Row 88.

The notes leave n unnamed and set "queries, keys and values all the same". n is the width of a key (the 8 of
the notes' table is √64), and Q, K, V are three learnt projections of the input: the default here. With
`variant="notes"` all three are the input itself.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional


def attention_weights(query: Tensor, key: Tensor, mask: Tensor | None = None) -> Tensor:
    """(..., queries, keys) weights: each row sums to 1, or is 0 where the mask forbids every key.

    Args:
        query, key: (..., queries, n) and (..., keys, n).
        mask: True where a query may look, broadcast to the weights; None allows all.
    """
    scores = query @ key.mT / math.sqrt(key.shape[-1])
    if mask is None:
        return scores.softmax(dim=-1)
    # The smallest finite number, not -inf: a row with no key allowed would be 0/0 and its gradient NaN.
    weights = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(dim=-1)
    return weights.masked_fill(~mask, 0.0)


def attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, dropout: float = 0.0
) -> Tensor:
    """(..., queries, m): the values (..., keys, m) averaged with the attention weights."""
    weights = attention_weights(query, key, mask)
    if dropout:
        weights = functional.dropout(weights, dropout)
    return weights @ value


class SelfAttention(nn.Module):
    """One head of attention of a sequence to itself: (batch, tokens, width) to (batch, tokens, key_width).

    `variant="notes"` has no parameters and keeps the width.
    """

    def __init__(
        self, width: int, key_width: int | None = None, variant: Literal["standard", "notes"] = "standard"
    ) -> None:
        super().__init__()
        size = key_width or width
        standard = variant == "standard"
        self.query = nn.Linear(width, size, bias=False) if standard else nn.Identity()
        self.key = nn.Linear(width, size, bias=False) if standard else nn.Identity()
        self.value = nn.Linear(width, size, bias=False) if standard else nn.Identity()

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return attention(self.query(x), self.key(x), self.value(x), mask)
