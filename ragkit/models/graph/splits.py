"""Inductive and transductive: whether the nodes to be tested are there while it learns. Row 131.

Transductive: one graph holds all nodes, and only the labels of the tested ones are hidden. Their features and
edges take part, so the model has seen them; the notes call this "not really feasible", Kipf and Welling's
Cora (row 139) is exactly that. Inductive: what is tested is a part of the graph, or a whole graph, that
learning never touches, and the model must apply to it as it is.

With many graphs, the standard is whole graphs for each purpose (`separate`). The notes keep one graph for the
test and let each of the others hold nodes to train and nodes to validate on: `separate(variant="notes")`.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ragkit.errors import RagkitError
from ragkit.models.graph.graph import Graph


class Part(NamedTuple):
    """A graph and those of its nodes whose labels count."""

    graph: Graph
    nodes: Tensor


class NodeSplit(NamedTuple):
    """Numbers of the nodes to train, to validate and to test on."""

    train: Tensor
    validation: Tensor
    test: Tensor


def transductive(graph: Graph, split: NodeSplit) -> tuple[Part, Part, Part]:
    """Train, validation and test: always the whole graph, with other labels."""
    return Part(graph, split.train), Part(graph, split.validation), Part(graph, split.test)


def inductive(graph: Graph, split: NodeSplit) -> tuple[Part, Part, Part]:
    """Train: what is left without the held-out nodes and their edges. Validation and test: each held-out
    set joins what the stage before had seen."""
    held_out = torch.zeros(graph.nodes, dtype=torch.bool)
    held_out[split.validation] = held_out[split.test] = True
    seen = (~held_out).nonzero()[:, 0]
    known = torch.sort(torch.cat([seen, split.validation])).values
    return (
        Part(graph.induced(seen), torch.searchsorted(seen, split.train)),
        Part(graph.induced(known), torch.searchsorted(known, split.validation)),
        Part(graph, split.test),
    )


class GraphSplit(NamedTuple):
    """For each graph the nodes to train on, to validate on and to test on, three masks (nodes,)."""

    train: list[Tensor]
    validation: list[Tensor]
    test: list[Tensor]


def separate(
    sizes: list[int],
    generator: torch.Generator,
    shares: tuple[float, float] = (0.6, 0.2),
    variant: Literal["standard", "notes"] = "standard",
) -> GraphSplit:
    """Graphs of `sizes` nodes, split at random: `shares` to train and to validate on, the rest is the test.

    Raises:
        RagkitError: if there are too few graphs to have one for each purpose.
    """
    count = len(sizes)
    if count < (3 if variant == "standard" else 2):
        raise RagkitError(f"{count} graphs: expected one or more for each purpose")
    order = torch.randperm(count, generator=generator).tolist()
    masks = [[torch.zeros(size, dtype=torch.bool) for size in sizes] for _ in range(3)]
    if variant == "notes":
        masks[2][order[-1]][:] = True
        for graph in order[:-1]:
            training = torch.rand(sizes[graph], generator=generator) < shares[0] / sum(shares)
            masks[0][graph], masks[1][graph] = training, ~training
        return GraphSplit(*masks)
    first = min(max(1, round(shares[0] * count)), count - 2)
    second = min(max(first + 1, round(sum(shares) * count)), count - 1)
    for place, graph in enumerate(order):
        masks[(place >= first) + (place >= second)][graph][:] = True
    return GraphSplit(*masks)
