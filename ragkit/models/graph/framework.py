"""The framework of graph convolutions: m_k = f_k(A, H) H Θ_k, then H' = h(m_1, ..., m_K). Row 142.

Each of K filters says with an N x N matrix who interacts with whom and how much, like the kernels of a CNN;
Θ_k is its weight, h merges. Rows 129, 135, 136, 138, 139 and 141 are cases of it, which the checks prove. The
elementwise maximum (row 140) is not: no one matrix f(A, H) picks another neighbour for each column of H.

Matrices are dense: this file is the definition, `graph_layer.py` what to compute with.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

Filter = Callable[[Tensor, Tensor], Tensor]
"""From A (N, N), whose row n holds what n hears, and H (N, D) to f(A, H) (N, N)."""

Merge = Callable[[Sequence[Tensor]], Tensor]
"""From the K messages (N, outputs) to the new embeddings."""


class GraphConvolution(nn.Module):
    """`thetas`: Θ_k (inputs, outputs), one a filter."""

    def __init__(self, filters: Sequence[Filter], thetas: Sequence[Tensor], merge: Merge) -> None:
        super().__init__()
        self.filters, self.merge = filters, merge
        self.modules_of_filters = nn.ModuleList(f for f in filters if isinstance(f, nn.Module))
        self.thetas = nn.ParameterList(thetas)

    def forward(self, a: Tensor, h: Tensor) -> Tensor:
        """A (N, N) and H (N, inputs) to the merged messages."""
        pairs = zip(self.filters, self.thetas, strict=True)
        return self.merge([f(a, h) @ (h @ theta) for f, theta in pairs])


def summed(messages: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(messages)).sum(dim=0)


def side_by_side(messages: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(messages), dim=1)


def itself(a: Tensor, h: Tensor) -> Tensor:
    """I: no neighbours."""
    return torch.eye(len(a), dtype=a.dtype)


def neighbours(a: Tensor, h: Tensor) -> Tensor:
    """A: their sum."""
    return a


def mean(a: Tensor, h: Tensor) -> Tensor:
    """D⁻¹ A: their mean, 0 where there are none."""
    return a / a.sum(dim=1, keepdim=True).clamp(min=1)


def kipf(a: Tensor, h: Tensor) -> Tensor:
    """D̃^-½ (A + I) D̃^-½."""
    looped = a + itself(a, h)
    share = looped.sum(dim=1).rsqrt()
    return share[:, None] * looped * share


class Attention(nn.Module):
    """softmask[S, A + I] with S_nm = a[φᵀ[Ω h_n; Ω h_m]]: one head; `theta` is Ωᵀ (inputs, outputs)."""

    def __init__(self, theta: Tensor, target: Tensor, source: Tensor) -> None:
        super().__init__()
        self.theta, self.target, self.source = theta, target, source

    def forward(self, a: Tensor, h: Tensor) -> Tensor:
        z = h @ self.theta
        scores = functional.leaky_relu((z @ self.target)[:, None] + z @ self.source, 0.2)
        return torch.softmax(scores.masked_fill(a + itself(a, h) == 0, -torch.inf), dim=1)
