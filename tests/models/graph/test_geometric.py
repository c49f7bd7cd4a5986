"""Rows 125, 129, 130, 132, 135, 136, 138-141: the same numbers as torch_geometric from the same weights."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ragkit.models.graph.batching import batched
from ragkit.models.graph.graph import Graph
from ragkit.models.graph.graph_head import mean_pool
from ragkit.models.graph.graph_layer import GraphLayer
from ragkit.models.graph.k_hop import k_hop
from ragkit.models.graph.neighbours import Neighbours
from ragkit.models.graph.structure import structure_loss

geometric = pytest.importorskip(
    "torch_geometric", reason="the oracle of graph layers: pip install torch_geometric"
)
layers = pytest.importorskip("torch_geometric.nn")


def tied(theirs: Any, ours: GraphLayer) -> Any:
    """Both weights of a layer that has one for the node and one for its neighbours are Ω."""
    with torch.no_grad():
        for linear in (
            part for part in theirs.modules() if isinstance(getattr(part, "weight", None), Tensor)
        ):
            linear.weight.copy_(ours.weight)
    return theirs


def with_epsilon(ours: GraphLayer) -> Any:
    with torch.no_grad():
        ours.epsilon.fill_(0.37)
    net = nn.Linear(5, 6, bias=False).double()
    theirs = layers.GINConv(net, train_eps=True).double()
    with torch.no_grad():
        net.weight.copy_(ours.weight)
        theirs.eps.fill_(0.37)
    return theirs


def generalised(ours: GraphLayer) -> Any:
    theirs = layers.GraphConv(5, 6, bias=False).double()
    with torch.no_grad():
        theirs.lin_rel.weight.copy_(ours.weight)
        theirs.lin_root.weight.copy_(ours.own_weight)
    return theirs


def attention(ours: GraphLayer) -> Any:
    theirs = layers.GATConv(5, 6 // ours.heads, heads=ours.heads, bias=False).double()
    with torch.no_grad():
        theirs.lin.weight.copy_(ours.weight)
        theirs.att_src.copy_(ours.score_source[None])
        theirs.att_dst.copy_(ours.score_target[None])
    return theirs


def notes_kipf(ours: GraphLayer) -> Any:
    """D^-½AD^-½ of theirs, plus the node itself."""
    theirs = tied(layers.GCNConv(5, 6, add_self_loops=False, bias=False).double(), ours)
    return lambda x, edges: theirs(x, edges) + x @ ours.weight.T


CASES: list[tuple[str, dict[str, Any], Callable[[GraphLayer], Any]]] = [
    ("sum", {}, lambda ours: tied(layers.GraphConv(5, 6, bias=False).double(), ours)),
    ("diagonal", {}, with_epsilon),
    ("generalised", {}, generalised),
    ("mean", {}, lambda ours: tied(layers.SAGEConv(5, 6, "mean", bias=False).double(), ours)),
    ("kipf", {}, lambda ours: tied(layers.GCNConv(5, 6, bias=False).double(), ours)),
    ("kipf", {"variant": "notes"}, notes_kipf),
    ("max", {}, lambda ours: tied(layers.SAGEConv(5, 6, "max", bias=False).double(), ours)),
    ("attention", {}, attention),
    ("attention", {"heads": 3}, attention),
    ("attention", {"variant": "notes"}, attention),
]


@pytest.mark.parametrize("aggregate, how, make", CASES, ids=[f"{a}-{h}" for a, h, _ in CASES])
def test_layers(graph: Graph, aggregate: Any, how: dict[str, Any], make: Callable[[GraphLayer], Any]) -> None:
    torch.manual_seed(0)
    ours = GraphLayer(5, 6, aggregate, activation=lambda h: h, **how).double()
    theirs, x = make(ours), graph.features.clone().requires_grad_()
    found = ours(x, Neighbours.of(graph.edges, 12))
    expected = theirs(x, graph.edges)
    assert (found - expected).abs().max() < 1e-10
    slopes = [torch.autograd.grad(h.square().sum(), x)[0] for h in (found, expected)]
    assert (slopes[0] - slopes[1]).abs().max() < 1e-10


@pytest.mark.row(130)
def test_batches_and_pools(graph: Graph) -> None:
    from torch_geometric.data import Batch, Data

    graphs = [graph, graph.induced(torch.arange(5)), graph.induced(torch.arange(3, 12))]
    theirs = Batch.from_data_list([Data(x=g.features, edge_index=g.edges) for g in graphs])
    ours = batched(graphs)
    assert torch.equal(ours.graph.edges, theirs.edge_index)
    assert torch.equal(ours.graph.features, theirs.x)
    assert torch.equal(ours.owner, theirs.batch)
    pooled = layers.global_mean_pool(theirs.x, theirs.batch)
    assert (mean_pool(ours.graph.features, ours.owner, 3) - pooled).abs().max() < 1e-12


@pytest.mark.row(132)
@pytest.mark.parametrize("hops", [0, 1, 2, 3])
def test_k_hop_neighbourhoods(graph: Graph, hops: int) -> None:
    from torch_geometric.utils import k_hop_subgraph

    theirs, *_ = k_hop_subgraph([2, 11], hops, graph.edges, num_nodes=12)
    assert torch.equal(k_hop(torch.tensor([2, 11]), graph.edges, hops, 12), theirs)


@pytest.mark.row(125)
def test_the_loss_of_the_graph_autoencoder(graph: Graph) -> None:
    others = torch.tensor([[0, 11, 3], [11, 4, 11]])
    theirs = layers.GAE(nn.Identity()).recon_loss(graph.features, graph.edges, others)
    assert float(structure_loss(graph.features, graph.edges, others)) == pytest.approx(
        float(theirs), abs=1e-6
    )


@pytest.mark.row(124)
def test_permuted_and_induced_graphs(graph: Graph) -> None:
    from torch_geometric.utils import subgraph, to_dense_adj

    assert torch.equal(graph.matrices("notes").a, to_dense_adj(graph.edges, max_num_nodes=12)[0].double())
    nodes = torch.tensor([1, 4, 5, 9, 11])
    theirs, _ = subgraph(nodes, graph.edges, relabel_nodes=True, num_nodes=12)
    assert torch.equal(graph.induced(nodes).edges, theirs)
