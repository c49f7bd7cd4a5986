"""Node head: Pr(yⁿ = 1 | X, A) = sig[β + ω hⁿ], the same linear unit at each node. Row 127.

Most nodes of a graph have no label: the loss is the mean over those that have one, and the graph carries it
to the others.
"""

from torch import Tensor, nn
from torch.nn import functional

from ragkit.errors import RagkitError


class NodeHead(nn.Module):
    """`classes` logits a node; one is that of y = 1."""

    def __init__(self, width: int, classes: int = 1) -> None:
        super().__init__()
        self.linear = nn.Linear(width, classes)

    def forward(self, h: Tensor) -> Tensor:
        """Embeddings (nodes, width) to logits (nodes, classes)."""
        logits: Tensor = self.linear(h)
        return logits


def node_loss(logits: Tensor, labels: Tensor, known: Tensor) -> Tensor:
    """Logits (nodes, classes) against labels (nodes,) of the nodes numbered `known`.

    Raises:
        RagkitError: if no node is known.
    """
    if not len(known):
        raise RagkitError("no node with a label: give one or more")
    if logits.shape[1] == 1:
        return functional.binary_cross_entropy_with_logits(logits[known, 0], labels[known].to(logits.dtype))
    return functional.cross_entropy(logits[known], labels[known])
