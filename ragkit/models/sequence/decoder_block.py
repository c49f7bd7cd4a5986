"""Decoder block: x ← LN(x + masked MHA(x)); x ← LN(x + MHA(x, memory)); x ← LN(x + FFN(x))
(Vaswani et al. 2017, 3.1). Row 92.

The notes list the attention to the encoder first and the masked one last; the published order is masked,
cross, feed-forward. `variant="notes"` is cross, feed-forward, masked. `norm="pre"` norms each part's input.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ragkit.models.sequence.encoder_block import Norm
from ragkit.models.sequence.feed_forward import Activation, FeedForward
from ragkit.models.sequence.multi_head import KeyValues, MultiHeadAttention

Part = tuple[Callable[[Tensor], Tensor], nn.Module]
"""A part of the block and its norm."""


@dataclass(frozen=True, slots=True)
class DecoderCache:
    """What a block keeps of the past: keys and values of its own tokens and of the encoder's."""

    own: KeyValues | None
    memory: KeyValues


class DecoderBlock(nn.Module):
    """Attention to its own past, attention to the encoder's output, feed-forward network."""

    def __init__(
        self,
        width: int,
        heads: int,
        inner: int,
        dropout: float = 0.1,
        norm: Norm = "post",
        activation: Activation = "relu",
        variant: Literal["standard", "notes"] = "standard",
    ) -> None:
        super().__init__()
        self.norm: Norm = norm
        self.variant = variant
        self.self_attention = MultiHeadAttention(width, heads, dropout)
        self.self_norm = nn.LayerNorm(width)
        self.cross_attention = MultiHeadAttention(width, heads, dropout)
        self.cross_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, inner, activation)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def start(self, memory: Tensor) -> DecoderCache:
        """The cache before the first token, from the encoder's output (batch, source, width)."""
        return DecoderCache(None, self.cross_attention.keys_values(memory))

    def forward(
        self, x: Tensor, memory: Tensor, mask: Tensor | None = None, memory_mask: Tensor | None = None
    ) -> Tensor:
        """(batch, target, width) to the same.

        Args:
            mask: for the target, causal; memory_mask: for the encoder's padding.
        """
        return self.extend(x, self.start(memory), mask, memory_mask)[0]

    def extend(
        self,
        x: Tensor,
        cache: DecoderCache,
        mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
    ) -> tuple[Tensor, DecoderCache]:
        """The block on tokens that follow those in the cache, and the cache with them."""
        own: list[KeyValues] = []

        def look_back(y: Tensor) -> Tensor:
            new = self.self_attention.keys_values(y)
            if cache.own is not None:
                new = (torch.cat([cache.own[0], new[0]], 2), torch.cat([cache.own[1], new[1]], 2))
            own.append(new)
            return self.self_attention.read(y, new, mask)

        def look_across(y: Tensor) -> Tensor:
            return self.cross_attention.read(y, cache.memory, memory_mask)

        masked: Part = (look_back, self.self_norm)
        rest: list[Part] = [(look_across, self.cross_norm), (self.feed_forward, self.feed_forward_norm)]
        for part, norm in [masked, *rest] if self.variant == "standard" else [*rest, masked]:
            x = self._residual(x, part, norm)
        return x, DecoderCache(own[0], cache.memory)

    def _residual(self, x: Tensor, part: Callable[[Tensor], Tensor], norm: nn.Module) -> Tensor:
        if self.norm == "pre":
            return x + self.dropout(part(norm(x)))
        return norm(x + self.dropout(part(x)))
