"""Matching network: P(y | x, S) = Σ_i a(x, x_i) y_i, a = softmax_i(s cos(f(x), g(x_i))). Row 155.

Vinyals et al. 2016, equation 1. The notes (and the paper) take the softmax of the bare cosine, which lies in
[-1, 1]: of two classes the surest prediction is e/(e + 1/e) = 0.88, of five 0.65, and the loss cannot go
below that. The standard form scales the cosine by a learnt s; `variant="notes"` is the bare one. f and g may
be the same network; the paper's full context embeddings stand in `full_context.py`.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ragkit.models.meta.full_context import FullContext
from ragkit.models.meta.kernel import log_kernel_prediction


class MatchingNetwork(nn.Module):
    """`f` and `g` embed query and support, (items, ...) to (items, size); without `g` it is `f`. `context`
    then rewrites the vectors of both in sight of the whole support."""

    def __init__(
        self,
        f: nn.Module,
        g: nn.Module | None = None,
        context: FullContext | None = None,
        scale: float = 10.0,
        variant: Literal["standard", "notes"] = "standard",
    ) -> None:
        super().__init__()
        self.f, self.g, self.context = f, g, context
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale))) if variant == "standard" else None

    def forward(self, query: Tensor, support: Tensor, labels: Tensor, ways: int) -> Tensor:
        """log P(y | x, S), (queries, ways)."""
        if self.g is None:
            x, s = self.f(torch.cat([query, support])).split([len(query), len(support)])
        else:
            x, s = self.f(query), self.g(support)
        if self.context is not None:
            s = self.context.support(s)
            x = self.context.query(x, s)
        return log_kernel_prediction(self.scale * cosines(x, s), labels, ways)

    @property
    def scale(self) -> Tensor | float:
        return 1.0 if self.log_scale is None else self.log_scale.exp()


def cosines(query: Tensor, support: Tensor) -> Tensor:
    """(queries, items) of vectors (queries, size) and (items, size)."""
    return functional.normalize(query, dim=1) @ functional.normalize(support, dim=1).mT
