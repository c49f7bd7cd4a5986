"""Embeddings that keep the structure: Z with sig[z_iᵀ z_j] ≈ A_ij. Row 125.

The notes ask for a map between A and Z that preserves what matters about the graph and give no loss. That of
the graph autoencoder (Kipf and Welling 2016) is the likelihood of edges and of as many pairs that are none:

    L = - mean over edges of log sig[z_mᵀ z_n] - mean over non-edges of log(1 - sig[z_mᵀ z_n])

Z comes from graph layers; without features, X = I, each node learns its own vector.
"""

import torch
from torch import Tensor
from torch.nn import functional

from ragkit.errors import RagkitError
from ragkit.models.graph.edge_head import edge_logits


def structure_loss(z: Tensor, edges: Tensor, others: Tensor) -> Tensor:
    """Embeddings (nodes, width), edges (2, edges) and pairs (2, pairs) that are none, to the scalar loss."""
    joined, apart = edge_logits(z, edges), edge_logits(z, others)
    return functional.softplus(-joined).mean() + functional.softplus(apart).mean()


def non_edges(edges: Tensor, nodes: int, count: int, generator: torch.Generator | None = None) -> Tensor:
    """Pairs (2, count) of different nodes that no edge (2, edges) joins in either direction, drawn evenly.

    Raises:
        RagkitError: if every pair is joined.
    """
    joined = torch.unique(torch.cat([edges[0] * nodes + edges[1], edges[1] * nodes + edges[0]]))
    loops = int((joined // nodes == joined % nodes).sum())
    if len(joined) - loops >= nodes * (nodes - 1):
        raise RagkitError(f"all pairs of {nodes} nodes are joined: there are no others to tell them from")
    found = edges.new_empty(0)
    while len(found) < count:
        drawn = torch.randint(nodes * nodes, (2 * count,), generator=generator).to(edges.device)
        free = (drawn // nodes != drawn % nodes) & ~torch.isin(drawn, joined)
        found = torch.cat([found, drawn[free]])
    return torch.stack([found[:count] // nodes, found[:count] % nodes])
