"""Rows 124, 129, 135-142: layers against the notes' equations, term by term in dense matrices of columns."""

from collections.abc import Callable
from typing import Any, get_args

import torch
from torch import Tensor
from torch.nn import functional

from ragkit.models.graph import framework
from ragkit.models.graph.graph import Graph, undirected
from ragkit.models.graph.graph_layer import Aggregate, GraphLayer
from ragkit.models.graph.neighbours import Neighbours
from ragkit.models.graph.network import GraphNetwork

NODES, INPUTS, OUTPUTS = 30, 5, 6


def random_graph(seed: int = 0) -> Graph:
    """30 nodes with 5 features each, in float64; the last has no neighbours."""
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.randint(NODES - 1, (2, 60), generator=generator)
    return Graph(torch.randn(NODES, INPUTS, generator=generator, dtype=torch.float64), undirected(pairs))


def drawn_layer(aggregate: Aggregate, **how: Any) -> GraphLayer:
    """A layer none of whose parameters is 0, and so small that tanh keeps what it is given apart."""
    torch.manual_seed(0)
    layer = GraphLayer(INPUTS, OUTPUTS, aggregate, activation=torch.tanh, **how).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return layer


def by_the_notes(layer: GraphLayer, graph: Graph) -> Tensor:
    """The layer's equation in the notes' matrices, H (D, N) and A from the right, to (N, width)."""
    a, h, _ = graph.matrices("notes")
    unit, omega, beta = torch.eye(len(a), dtype=a.dtype), layer.weight, layer.bias[:, None]
    inverse = 1 / a.sum(dim=0).clamp(min=1)  # a node without neighbours gets 0 of them
    match layer.aggregate:
        case "sum":
            total = omega @ h @ (a + unit)
        case "diagonal":
            total = omega @ h @ (a + (1 + layer.epsilon) * unit)
        case "generalised":
            total = omega @ h @ a + layer.own_weight @ h
        case "residual":
            return torch.cat([torch.tanh(beta + omega @ h @ a), h]).T
        case "mean":
            total = omega @ h @ (a @ inverse.diag() + unit)
        case "kipf" if layer.variant == "notes":
            root = inverse.sqrt().diag()
            total = omega @ h @ (root @ a @ root + unit)
        case "kipf":
            root = (a + unit).sum(dim=0).rsqrt().diag()
            total = omega @ h @ root @ (a + unit) @ root
        case "max":
            heard = [h[:, a[:, n] > 0] for n in range(len(a))]
            largest = [m.amax(dim=1) if m.shape[1] else 0 * h[:, 0] for m in heard]
            total = omega @ (h + torch.stack(largest, dim=1))
        case _:
            total = _attended(layer, a + unit, h)
            return torch.tanh(total if layer.variant == "notes" else total + beta).T
    return torch.tanh(beta + total).T


def _attended(layer: GraphLayer, mask: Tensor, h: Tensor) -> Tensor:
    """H'·softmask[S, A + I], head by head; column n of S holds how much n cares for each m."""
    parts = layer.weight.chunk(layer.heads)
    shifts = (layer.bias if layer.variant == "notes" else 0 * layer.bias).chunk(layer.heads)
    heads = []
    for head, (omega, shift) in enumerate(zip(parts, shifts, strict=True)):
        changed = omega @ h + shift[:, None]
        phi = torch.cat([layer.score_target[head], layer.score_source[head]])
        s = torch.stack(
            [
                torch.stack([phi @ torch.cat([changed[:, n], changed[:, m]]) for m in range(len(mask))])
                for n in range(len(mask))
            ],
            dim=1,
        )
        weights = functional.leaky_relu(s, 0.2).exp() * mask
        heads.append(changed @ (weights / weights.sum(dim=0)))
    return torch.cat(heads)


def error(aggregate: Aggregate, **how: Any) -> float:
    """The largest difference between a layer and its equation, on a random graph."""
    layer, graph = drawn_layer(aggregate, **how), random_graph()
    with torch.no_grad():
        found = layer(graph.features, Neighbours.of(graph.edges, graph.nodes))
        return float((found - by_the_notes(layer, graph)).abs().max())


def graph_data() -> dict[str, float]:
    """Row 124: networks of every aggregation on a graph and on the same with its nodes renumbered."""
    graph = random_graph()
    order = torch.randperm(graph.nodes, generator=torch.Generator().manual_seed(1))
    moved = graph.permuted(order)
    errors = []
    for aggregate in get_args(Aggregate):
        torch.manual_seed(0)
        network = GraphNetwork([INPUTS, 8, 4], aggregate, heads=2).double()
        first, second = (network(g.features, Neighbours.of(g.edges, g.nodes)) for g in (graph, moved))
        errors.append(float((first[order] - second).detach().abs().max()))
    return {"f(PX, PAPᵀ) - P f(X, A)": max(errors)}


def diagonal() -> dict[str, float]:
    """Row 135; from ε = 0 it is the sum."""
    plain, enhanced, graph = drawn_layer("sum"), drawn_layer("diagonal"), random_graph()
    enhanced.load_state_dict(plain.state_dict() | {"epsilon": torch.zeros(())})
    heard = Neighbours.of(graph.edges, graph.nodes)
    h = enhanced(graph.features, heard)
    h.sum().backward()
    assert enhanced.epsilon.grad is not None
    return {
        "error": error("diagonal"),
        "ε = 0 off the sum": float((h - plain(graph.features, heard)).detach().abs().max()),
        "slope of ε": float(enhanced.epsilon.grad.abs()),
    }


def generalised() -> dict[str, float]:
    """Row 136."""
    return {"error": error("generalised")}


def residual() -> dict[str, float]:
    """Row 137: the embeddings that came in, bit for bit, beside the new ones."""
    layer, graph = drawn_layer("residual"), random_graph()
    h = layer(graph.features, Neighbours.of(graph.edges, graph.nodes))
    return {
        "error": error("residual"),
        "width - outputs - D": h.shape[1] - OUTPUTS - INPUTS,
        "last D off H": float((h[:, OUTPUTS:] - graph.features).detach().abs().max()),
    }


def largest() -> dict[str, float]:
    """Row 140."""
    return {"error": error("max")}


def convolution_framework() -> dict[str, float]:
    """Row 142: layers as filters f_k, weights Θ_k and a merge h."""
    heads = drawn_layer("attention", heads=3)
    parts = zip(heads.weight.chunk(3), heads.score_target, heads.score_source, strict=True)
    attended: list[tuple[framework.Filter, Tensor]] = [
        (framework.Attention(w.T, target, source), w.T) for w, target, source in parts
    ]
    general = drawn_layer("generalised")

    def filters(aggregate: Aggregate, *chosen: framework.Filter) -> tuple[GraphLayer, list[Any], Any]:
        layer = drawn_layer(aggregate)
        return layer, [(f, layer.weight.T) for f in chosen], framework.summed

    cases: dict[str, tuple[GraphLayer, list[tuple[framework.Filter, Tensor]], Callable[..., Tensor]]] = {
        "GCN": filters("kipf", framework.kipf),
        "sum": filters("sum", framework.neighbours, framework.itself),
        "mean": filters("mean", framework.mean, framework.itself),
        "two weights": (
            general,
            [(framework.neighbours, general.weight.T), (framework.itself, general.own_weight.T)],
            framework.summed,
        ),
        "GAT of three heads": (heads, attended, framework.side_by_side),
    }
    graph = random_graph()
    errors = {}
    for name, (layer, pairs, merge) in cases.items():
        convolution = framework.GraphConvolution([f for f, _ in pairs], [w for _, w in pairs], merge)
        merged = convolution(graph.matrices().a, graph.features)
        found = layer(graph.features, Neighbours.of(graph.edges, graph.nodes))
        errors[name] = float((torch.tanh(merged + layer.bias) - found).detach().abs().max())
    return errors
