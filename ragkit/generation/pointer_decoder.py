"""The decoder's layers of the pointer-generator."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.cache_utils import Cache


class SourceAttention(nn.Module):
    """Multi-head attention to the source, without projecting the source.

    Keys W_k m_i and values W_v m_i are never made: q (W_k m_i) = (W_k^T q) m_i, and sum_i a_i W_v m_i =
    W_v sum_i a_i m_i. It is the same function; for answers a tenth as long as their passages it is a
    tenth of the work, and there is nothing to cache.
    """

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(size, size)
        self.key = nn.Parameter(torch.empty(heads, size // heads, size))
        self.value = nn.Parameter(torch.empty(heads, size, size // heads))
        self.output = nn.Linear(size, size)

    def forward(self, hidden: Tensor, memory: Tensor, bias: Tensor) -> Tensor:
        """hidden (rows, target, size), memory (sources, source, size), bias (sources, 1, source) is added.

        Each source is attended to by rows / sources rows, which lie side by side.
        """
        size, sources = hidden.shape[-1], len(memory)
        # Heads first: one product a head, over all rows.
        query = self.query(hidden).view(-1, self.heads, size // self.heads).transpose(0, 1)
        query = (query * query.shape[-1] ** -0.5) @ self.key
        query = query.view(self.heads, sources, -1, size).transpose(0, 1).reshape(sources, -1, size)
        weights = torch.softmax(torch.baddbmm(bias, query, memory.transpose(1, 2)), dim=-1)
        mixed = (weights @ memory).view(sources, self.heads, -1, size).transpose(0, 1)
        mixed = mixed.reshape(self.heads, -1, size) @ self.value
        return self.output(mixed.transpose(0, 1).reshape(hidden.shape))


class DecoderLayer(nn.Module):
    """Causal self-attention, attention to the source, feed-forward; normalised before each (pre-norm)."""

    def __init__(self, size: int, heads: int, inner: int, index: int) -> None:
        super().__init__()
        self.index, self.heads = index, heads
        self.self_norm, self.source_norm, self.ffn_norm = (nn.LayerNorm(size) for _ in range(3))
        self.qkv = nn.Linear(size, 3 * size)
        self.self_output = nn.Linear(size, size)
        self.source_attention = SourceAttention(size, self.heads)
        self.widen = nn.Linear(size, inner)
        self.narrow = nn.Linear(inner, size)

    def forward(
        self, hidden: Tensor, memory: Tensor, source_bias: Tensor, causal: Tensor, cache: Cache | None
    ) -> Tensor:
        batch, target, size = hidden.shape
        qkv = self.qkv(self.self_norm(hidden)).view(batch, target, 3, self.heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        if cache is not None:
            key, value = cache.update(key, value, self.index)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=causal)
        hidden = hidden + self.self_output(mixed.transpose(1, 2).reshape(batch, target, size))
        hidden = hidden + self.source_attention(self.source_norm(hidden), memory, source_bias)
        return hidden + self.narrow(functional.gelu(self.widen(self.ffn_norm(hidden))))
