"""Multi-head attention: concat(head_1, …, head_H) W_O, head_i = attention(Q W_i, K W_i, V W_i)
(Vaswani et al. 2017, 3.2.2). Row 89.

The heads are independent: one matrix product projects for all of them, one more attends.
"""

from torch import Tensor, nn

from ragkit.models.sequence.self_attention import attention, attention_weights

KeyValues = tuple[Tensor, Tensor]
"""Keys and values of all heads, each (batch, heads, tokens, width / heads): what a decoder caches."""


class MultiHeadAttention(nn.Module):
    """H heads of width / H each; the dropout falls on the attention weights.

    Raises:
        ValueError: if the width is no multiple of the heads.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads do not divide the width {width}")
        self.heads, self.dropout = heads, dropout
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, query: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        """(batch, queries, width): what each query reads in `memory` (batch, keys, width).

        Args:
            mask: True where a query may look, broadcast to (batch, heads, queries, keys).
        """
        return self.read(query, self.keys_values(memory), mask)

    def keys_values(self, memory: Tensor) -> KeyValues:
        return self._split(self.key(memory)), self._split(self.value(memory))

    def read(self, query: Tensor, keys_values: KeyValues, mask: Tensor | None = None) -> Tensor:
        """`forward` with the keys and values already computed."""
        dropout = self.dropout if self.training else 0.0
        heads = attention(self._split(self.query(query)), *keys_values, mask, dropout)
        return self.out(heads.transpose(1, 2).flatten(2))

    def weights(self, query: Tensor, memory: Tensor) -> Tensor:
        """(batch, heads, queries, keys): how much each query reads of each place, for pictures."""
        return attention_weights(self._split(self.query(query)), self._split(self.key(memory)))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
