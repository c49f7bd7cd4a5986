"""Encoder block: x ← LN(x + MHA(x)); x ← LN(x + FFN(x)) (Vaswani et al. 2017, 3.1). Row 91.

The notes end with "project using a feed-forward network"; its own residual and norm belong to the block too.
`norm="pre"` is x ← x + MHA(LN x); x ← x + FFN(LN x), the order of GPT-2 (Xiong et al. 2020), which needs one
more norm after the last block.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from ragkit.models.sequence.feed_forward import Activation, FeedForward
from ragkit.models.sequence.multi_head import KeyValues, MultiHeadAttention

Norm = Literal["post", "pre"]


class EncoderBlock(nn.Module):
    """Self-attention and feed-forward network, each with residual, norm and dropout on its result."""

    def __init__(
        self,
        width: int,
        heads: int,
        inner: int,
        dropout: float = 0.1,
        norm: Norm = "post",
        activation: Activation = "relu",
        epsilon: float = 1e-5,
    ) -> None:
        super().__init__()
        self.norm: Norm = norm
        self.attention = MultiHeadAttention(width, heads, dropout)
        self.attention_norm = nn.LayerNorm(width, epsilon)
        self.feed_forward = FeedForward(width, inner, activation)
        self.feed_forward_norm = nn.LayerNorm(width, epsilon)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(batch, tokens, width) to the same; `mask` as in `MultiHeadAttention`."""
        return self.extend(x, None, mask)[0]

    def extend(
        self, x: Tensor, past: KeyValues | None, mask: Tensor | None = None
    ) -> tuple[Tensor, KeyValues]:
        """The block on tokens that follow those whose keys and values are `past`, and all keys and values."""
        source = self.attention_norm(x) if self.norm == "pre" else x
        own = self.attention.keys_values(source)
        if past is not None:
            own = (torch.cat([past[0], own[0]], dim=2), torch.cat([past[1], own[1]], dim=2))
        x = x + self.dropout(self.attention.read(source, own, mask))
        if self.norm == "pre":
            return x + self.dropout(self.feed_forward(self.feed_forward_norm(x))), own
        x = self.attention_norm(x)
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x))), own
