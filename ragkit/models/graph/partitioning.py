"""Partitioning: the graph in parts of one size with few edges between them, a batch a part. Row 134.

Cluster-GCN (Chiang et al. 2019) trains on one part at a time and drops the edges that are cut, so that a step
costs a part however large the graph is. The notes do not say how to cut. METIS is the usual tool; here parts
are grown one after the other, each taking the free node with the most edges into it, and then nodes move to
the part where most of their neighbours are, as long as there is room.
"""

import heapq

import torch
from torch import Tensor

from ragkit.errors import RagkitError

SLACK = 1.1
"""A part may be larger than its share by this factor."""


def partition(edges: Tensor, nodes: int, parts: int, seed: int = 0, sweeps: int = 10) -> Tensor:
    """The part of each node, (nodes,), for undirected edges (2, edges) that stand in both directions.

    Raises:
        RagkitError: if there are more parts than nodes.
    """
    if not 1 <= parts <= nodes:
        raise RagkitError(f"{parts} parts of {nodes} nodes: expected 1 to {nodes}")
    heard: list[list[int]] = [[] for _ in range(nodes)]
    for source, target in edges.T.tolist():
        heard[target].append(source)
    order = torch.randperm(nodes, generator=torch.Generator().manual_seed(seed)).tolist()
    part = _grown(heard, order, parts)
    _refine(heard, order, part, parts, sweeps)
    return torch.tensor(part)


def cut_edges(edges: Tensor, part: Tensor) -> int:
    """How many of the edges (2, edges) join nodes of two parts."""
    return int((part[edges[0]] != part[edges[1]]).sum())


def _grown(heard: list[list[int]], order: list[int], parts: int) -> list[int]:
    """Parts of equal size, each grown from the first free node of `order` by the best joined free node."""
    part, seeds = [-1] * len(heard), iter(order)
    taken = 0
    for number in range(parts):
        room = (len(heard) - taken) // (parts - number)
        inside: dict[int, int] = {}
        heap: list[tuple[int, int]] = []
        for _ in range(room):
            while heap and (part[heap[0][1]] >= 0 or -heap[0][0] != inside[heap[0][1]]):
                heapq.heappop(heap)
            node = heapq.heappop(heap)[1] if heap else next(n for n in seeds if part[n] < 0)
            part[node] = number
            for other in heard[node]:
                if part[other] < 0:
                    inside[other] = inside.get(other, 0) + 1
                    heapq.heappush(heap, (-inside[other], other))
        taken += room
    return part


def _refine(heard: list[list[int]], order: list[int], part: list[int], parts: int, sweeps: int) -> None:
    """Moves each node to where most of its neighbours are, while parts have room; stops when none moves."""
    most = SLACK * len(heard) / parts
    sizes = [part.count(number) for number in range(parts)]
    for _ in range(sweeps):
        moved = False
        for node in order:
            links: dict[int, int] = {}
            for other in heard[node]:
                links[part[other]] = links.get(part[other], 0) + 1
            own = part[node]
            open_parts = [p for p in links if p != own and sizes[p] + 1 <= most]
            best = max(open_parts, key=links.__getitem__, default=own)
            if links.get(best, 0) > links.get(own, 0) and sizes[own] > 1:
                part[node], moved = best, True
                sizes[own], sizes[best] = sizes[own] - 1, sizes[best] + 1
        if not moved:
            return
