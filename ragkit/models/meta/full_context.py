"""Full context embeddings: g(x_i, S) = h→_i + h←_i + g'(x_i), f(x, S) = attLSTM(f'(x), g(S), K). Row 155.

Vinyals et al. 2016, sections 2.1.2 and appendices A.1, A.2. The notes' "relate all the information in the
support set to the input" is this; their formula stops at f(x) and g(x_i). Each support vector is read by a
bidirectional LSTM over the set, so its order matters a little; the query's vector is refined K times:

    h'_k, c_k = LSTM(f'(x), [h_{k-1}, r_{k-1}], c_{k-1}),  h_k = h'_k + f'(x),
    r_k = Σ_i softmax_i(h_k · g(x_i)) g(x_i).
"""

import torch
from torch import Tensor, nn


class FullContext(nn.Module):
    """Vectors of `size`, K = `steps` refinements of a query."""

    def __init__(self, size: int, steps: int = 3) -> None:
        super().__init__()
        self.both_ways = nn.LSTM(size, size, bidirectional=True)
        # The paper's state [h, r] of twice the size; only the half h goes out.
        self.cell, self.steps = nn.LSTMCell(2 * size, size), steps

    def support(self, vectors: Tensor) -> Tensor:
        """g(x_i, S), (items, size), of g'(x_i) in the order given."""
        forth, back = self.both_ways(vectors)[0].chunk(2, dim=1)
        out: Tensor = forth + back + vectors
        return out

    def query(self, vectors: Tensor, support: Tensor) -> Tensor:
        """f(x, S), (queries, size), of f'(x) and g(x_i, S) (items, size)."""
        h, c, read = vectors, torch.zeros_like(vectors), torch.zeros_like(vectors)
        for _ in range(self.steps):
            out, c = self.cell(torch.cat([vectors, read], dim=1), (h, c))
            h = out + vectors
            read = (h @ support.mT).softmax(dim=1) @ support
        return h
