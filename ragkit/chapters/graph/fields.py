"""Rows 130-133: batches of graphs, what may be seen, how far a node hears, and samples of whom it hears."""

import torch
from torch import Tensor

from ragkit.chapters.graph.layers import INPUTS, random_graph
from ragkit.models.graph.batching import batched
from ragkit.models.graph.graph import Graph, undirected
from ragkit.models.graph.graph_head import GraphHead
from ragkit.models.graph.graph_layer import GraphLayer
from ragkit.models.graph.k_hop import k_hop, receptive_field
from ragkit.models.graph.neighbour_sampling import NeighbourSampler
from ragkit.models.graph.neighbours import Neighbours
from ragkit.models.graph.network import GraphNetwork
from ragkit.models.graph.node_head import node_loss
from ragkit.models.graph.splits import NodeSplit, Part, inductive, transductive


def batching() -> dict[str, float]:
    """Row 130: graphs one by one, as blocks of one, and as blocks padded to the same size."""
    torch.manual_seed(0)
    whole = random_graph()
    graphs = [whole.induced(torch.arange(start, 30)) for start in (0, 5, 17, 29)]
    network, head = GraphNetwork([INPUTS, 8, 8], "sum").double(), GraphHead(8, 2).double()

    def logits(graphs: list[Graph], nodes: int | None = None) -> Tensor:
        batch = batched(graphs, nodes)
        h = network(batch.graph.features, Neighbours.of(batch.graph.edges, batch.graph.nodes))
        found: Tensor = head(h, batch.owner, batch.graphs, batch.real)
        return found.detach()

    alone = torch.cat([logits([graph]) for graph in graphs])
    return {
        "blocks off one by one": float((logits(graphs) - alone).abs().max()),
        "padded off one by one": float((logits(graphs, 40) - alone).abs().max()),
    }


def settings_of_nodes() -> dict[str, float]:
    """Row 131: what the held-out nodes say and whom they know changes; does the gradient?"""
    graph, labels = random_graph(), torch.arange(30) % 3
    split = NodeSplit(torch.arange(12), torch.arange(20, 25), torch.arange(25, 30))
    features = graph.features.clone()
    features[20:] += 1
    joined = undirected(torch.cat([graph.edges, torch.tensor([[0, 3, 7], [21, 26, 29]])], dim=1))
    changed = Graph(features, joined)

    def gradient(part: Part) -> Tensor:
        torch.manual_seed(0)
        network = GraphNetwork([INPUTS, 8, 3]).double()
        logits = network(part.graph.features, Neighbours.of(part.graph.edges, part.graph.nodes))
        kept = part.graph.nodes
        node_loss(logits, labels[:kept], part.nodes).backward()
        return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])

    shifts = [
        float((gradient(way(graph, split)[0]) - gradient(way(changed, split)[0])).abs().max())
        for way in (inductive, transductive)
    ]
    return {"gradient moved, inductive": shifts[0], "gradient moved, transductive": shifts[1]}


def receptive_fields() -> dict[str, float]:
    """Row 132: the nodes with a gradient, those within k hops, and where (A + I)^k is not 0."""
    generator = torch.Generator().manual_seed(3)
    pairs = torch.randint(60, (2, 70), generator=generator)
    features = torch.randn(60, INPUTS, generator=generator, dtype=torch.float64).requires_grad_()
    graph = Graph(features, undirected(pairs))
    looped = graph.matrices().a + torch.eye(60, dtype=torch.float64)
    wrong_gradient = wrong_power = 0
    for hops in (1, 2, 3):
        torch.manual_seed(hops)
        network = GraphNetwork([INPUTS, *[8] * hops], activation=torch.tanh).double()
        h = network(features, Neighbours.of(graph.edges, 60))
        power = torch.linalg.matrix_power(looped, hops)
        for node in range(60):
            within = k_hop(torch.tensor([node]), graph.edges, hops, 60).tolist()
            wrong_gradient += within != receptive_field(h, features, node).tolist()
            wrong_power += within != power[node].nonzero()[:, 0].tolist()
    return {"fields other than the gradient's": wrong_gradient, "other than (A + I)^k": wrong_power}


def neighbour_sampling(draws: int = 4000) -> dict[str, float]:
    """Row 133: a fan-out beyond every degree, and what a small one gives over many draws.

    The sums of a linear layer are put into one number by a random direction; its mean over the draws is off
    by so many standard errors.
    """
    graph = random_graph()
    whole = Neighbours.of(graph.edges, graph.nodes)
    batch = torch.tensor([0, 4, 11, 29])
    full = NeighbourSampler(graph.edges, graph.nodes, [99, 99]).sample(batch)
    errors = []
    for aggregate in ("sum", "mean", "kipf", "max", "attention"):
        torch.manual_seed(0)
        network = GraphNetwork([INPUTS, 8, 4], aggregate).double()
        sampled = network(graph.features[full.nodes], full.layers)
        errors.append(float((sampled - network(graph.features, whole)[batch]).detach().abs().max()))

    generator = torch.Generator().manual_seed(0)
    sampler = NeighbourSampler(graph.edges, graph.nodes, [2])
    layer = GraphLayer(INPUTS, 4, "sum", activation=lambda h: h).double()
    direction = torch.randn(len(batch), 4, generator=generator, dtype=torch.float64)

    with torch.no_grad():
        found, unscaled = torch.empty(2, draws, dtype=torch.float64).unbind()
        for draw in range(draws):
            sample = sampler.sample(batch, generator)
            heard, h = sample.layers[0], graph.features[sample.nodes]
            plain = Neighbours(heard.sources, heard.targets, heard.degrees, heard.receivers)
            found[draw] = (layer(h, heard) * direction).sum()
            unscaled[draw] = (layer(h, plain) * direction).sum()
        wanted = float((layer(graph.features, whole)[batch] * direction).sum())

    def standard_errors(values: Tensor) -> float:
        return abs(float(values.mean()) - wanted) / float(values.std() / draws**0.5)

    return {
        "full fan-out off the full graph": max(errors),
        "standard errors off": standard_errors(found),
        "unscaled: standard errors off": standard_errors(unscaled),
    }
