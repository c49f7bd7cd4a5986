"""Batching: several graphs as one whose adjacency is A_1, A_2, ... along the diagonal. Row 130.

No edge leads from one block to another, so a layer treats each graph as if it were alone; only pooling has to
know whose node is whose. The notes put each graph as a block into a bigger matrix and remember to leave the
rest out of the pool: that rest are nodes without edges, which `padded` adds.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ragkit.errors import RagkitError
from ragkit.models.graph.graph import Graph


class Batch(NamedTuple):
    graph: Graph
    owner: Tensor
    """(nodes,): the number of the graph that each node belongs to."""
    graphs: int
    real: Tensor
    """(nodes,): false for nodes that only pad."""


def batched(graphs: Sequence[Graph], nodes: int | None = None) -> Batch:
    """All graphs as one; with `nodes`, each padded to that many.

    Raises:
        RagkitError: if there is no graph, one is larger than `nodes`, or only some have edge features.
    """
    if not graphs:
        raise RagkitError("no graphs to batch: give one or more")
    sizes = torch.tensor([graph.nodes for graph in graphs])
    parts = graphs if nodes is None else [padded(graph, nodes) for graph in graphs]
    places = torch.tensor([graph.nodes for graph in parts])
    starts = places.cumsum(0) - places
    features = [graph.edge_features for graph in parts if graph.edge_features is not None]
    if len(features) not in (0, len(parts)):
        raise RagkitError(f"{len(features)} of {len(parts)} graphs have edge features: expected all or none")
    one = Graph(
        torch.cat([graph.features for graph in parts]),
        torch.cat([graph.edges + int(start) for graph, start in zip(parts, starts, strict=True)], dim=1),
        torch.cat(features) if features else None,
    )
    owner = torch.repeat_interleave(torch.arange(len(parts)), places)
    real = torch.arange(one.nodes) - starts[owner] < sizes[owner]
    return Batch(one, owner, len(parts), real)


def padded(graph: Graph, nodes: int) -> Graph:
    """The graph with nodes of zeros and without edges after its own, `nodes` in all.

    Raises:
        RagkitError: if it has more.
    """
    if graph.nodes > nodes:
        raise RagkitError(f"a graph of {graph.nodes} nodes cannot be padded to {nodes}")
    features = graph.features.to_dense()
    rest = features.new_zeros(nodes - graph.nodes, features.shape[1])
    return Graph(torch.cat([features, rest]), graph.edges, graph.edge_features)
