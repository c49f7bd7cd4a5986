"""Edge head: Pr(yⁿᵐ = 1 | X, A) = sig[h_mᵀ h_n]: nodes that point the same way are joined. Row 128.

Symmetric in m and n, so that it suits undirected edges; it has no parameters.
"""

from torch import Tensor


def edge_logits(h: Tensor, pairs: Tensor) -> Tensor:
    """The logit of an edge for each of the pairs (2, pairs) of nodes with embeddings h (nodes, width)."""
    return (h[pairs[0]] * h[pairs[1]]).sum(dim=-1)
