"""Graph head: Pr(y = 1 | X, A) = sig[β + ω H1/N], the mean of a graph's nodes, then one linear unit. Row 126.

The notes print 2_k where ω_k is meant. N is the number of the graph's *own* nodes: where graphs are padded to
the same size, the mean must leave the padding out, which `real` says.
"""

import torch
from torch import Tensor, nn

from ragkit.errors import RagkitError


class GraphHead(nn.Module):
    """`classes` logits a graph; one is that of y = 1."""

    def __init__(self, width: int, classes: int = 1) -> None:
        super().__init__()
        self.linear = nn.Linear(width, classes)

    def forward(self, h: Tensor, owner: Tensor, graphs: int, real: Tensor | None = None) -> Tensor:
        """Embeddings (nodes, width) of a batch of graphs to logits (graphs, classes); see `mean_pool`."""
        logits: Tensor = self.linear(mean_pool(h, owner, graphs, real))
        return logits


def mean_pool(h: Tensor, owner: Tensor, graphs: int, real: Tensor | None = None) -> Tensor:
    """The mean embedding of each graph's nodes, (graphs, width).

    Args:
        h: (nodes, width), the nodes of all graphs one after the other.
        owner: (nodes,), which graph each belongs to, from 0.
        real: (nodes,), false for nodes that only pad.

    Raises:
        RagkitError: if a graph has no nodes.
    """
    if real is not None:
        h, owner = h[real], owner[real]
    count = torch.bincount(owner, minlength=graphs)
    if len(count) > graphs or bool((count == 0).any()):
        raise RagkitError(
            f"{count.tolist()} nodes of graphs 0, 1, ...: expected {graphs} graphs of 1 or more"
        )
    return h.new_zeros(graphs, h.shape[1]).index_add_(0, owner, h) / count[:, None].to(h.dtype)
