"""Graph data: G = (V, E) as node features X, who is joined to whom A, and edge features E. Row 124.

A node is a row here, as in all libraries: X (N, D), E (edges, C). The notes write nodes as columns, H (D, N),
and multiply A from the right; `matrices("notes")` are theirs. An edge is a pair (m, n), along which m tells n
about itself; an undirected one stands twice, once for each direction.

Whatever is made of a graph must not depend on how its nodes are numbered: f(PX, PAPᵀ) = P f(X, A).
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ragkit.errors import RagkitError


class Matrices(NamedTuple):
    """A (N, N) with 1 where two nodes are joined, X and E: nodes and edges in rows, or the notes' columns."""

    a: Tensor
    x: Tensor
    e: Tensor | None


@dataclass(frozen=True)
class Graph:
    """
    Attributes:
        features: (N, D), dense or sparse.
        edges: (2, edges), the sources over the targets.
        edge_features: (edges, C).

    Raises:
        RagkitError: if an edge names a node that is not there, or has features too many or none.
    """

    features: Tensor
    edges: Tensor
    edge_features: Tensor | None = None

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or self.edges.ndim != 2 or len(self.edges) != 2:
            raise RagkitError(
                f"features {tuple(self.features.shape)} and edges {tuple(self.edges.shape)}: "
                "expected (nodes, features) and (2, edges)"
            )
        if self.edges.numel() and not 0 <= int(self.edges.min()) <= int(self.edges.max()) < self.nodes:
            raise RagkitError(
                f"an edge between nodes {int(self.edges.min())} to {int(self.edges.max())}: "
                f"expected numbers from 0 to {self.nodes - 1}"
            )
        if self.edge_features is not None and len(self.edge_features) != self.edges.shape[1]:
            raise RagkitError(f"features of {len(self.edge_features)} edges, there are {self.edges.shape[1]}")

    @property
    def nodes(self) -> int:
        return len(self.features)

    def matrices(self, variant: Literal["standard", "notes"] = "standard") -> Matrices:
        """Dense matrices: row n of A holds from whom n hears. The notes' are all transposed."""
        a = adjacency(self.edges, self.nodes).to(self.features.dtype)
        x, e = self.features.to_dense(), self.edge_features
        return Matrices(a, x, e) if variant == "standard" else Matrices(a.T, x.T, None if e is None else e.T)

    def permuted(self, order: Tensor) -> "Graph":
        """The same graph with node `order[i]` as node i."""
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order), device=order.device)
        return Graph(self.features.index_select(0, order), place[self.edges], self.edge_features)

    def induced(self, nodes: Tensor) -> "Graph":
        """Only these nodes, renumbered in their order, and the edges between them."""
        place = torch.full((self.nodes,), -1, device=nodes.device)
        place[nodes] = torch.arange(len(nodes), device=nodes.device)
        ends = place[self.edges]
        kept = (ends >= 0).all(dim=0)
        features = None if self.edge_features is None else self.edge_features[kept]
        return Graph(self.features.index_select(0, nodes), ends[:, kept], features)


def adjacency(edges: Tensor, nodes: int) -> Tensor:
    """(nodes, nodes) in float64: row n holds 1 at each m from which n hears."""
    a = torch.zeros(nodes, nodes, dtype=torch.float64, device=edges.device)
    a[edges[1], edges[0]] = 1
    return a


def undirected(pairs: Tensor) -> Tensor:
    """Pairs (2, pairs) in both directions, each once, without loops from a node to itself."""
    both = torch.cat([pairs, pairs.flip(0)], dim=1)
    return torch.unique(both[:, both[0] != both[1]], dim=1)
