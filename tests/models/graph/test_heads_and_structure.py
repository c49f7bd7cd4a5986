"""Rows 125-128, 130: pools, losses and pairs at their edges."""

import pytest
import torch
from torch.nn import functional

from ragkit.errors import RagkitError
from ragkit.models.graph.batching import batched, padded
from ragkit.models.graph.graph import Graph
from ragkit.models.graph.graph_head import mean_pool
from ragkit.models.graph.graph_layer import GraphLayer
from ragkit.models.graph.neighbours import Neighbours
from ragkit.models.graph.node_head import node_loss
from ragkit.models.graph.structure import non_edges


@pytest.mark.row(130)
def test_edge_features_come_along(graph: Graph) -> None:
    count = graph.edges.shape[1]
    rich = Graph(graph.features, graph.edges, torch.arange(count)[:, None])
    kept = rich.induced(torch.arange(6))
    both = batched([kept, rich]).graph
    assert both.edge_features is not None and kept.edge_features is not None
    assert torch.equal(both.edge_features, torch.cat([kept.edge_features, torch.arange(count)[:, None]]))
    for edge, number in zip(kept.edges.T, kept.edge_features[:, 0], strict=True):
        assert torch.equal(edge, graph.edges[:, number])


@pytest.mark.row(130)
def test_batches_that_do_not_fit(graph: Graph) -> None:
    with pytest.raises(RagkitError, match="no graphs to batch"):
        batched([])
    with pytest.raises(RagkitError, match="12 nodes cannot be padded to 11"):
        padded(graph, 11)
    rich = Graph(graph.features, graph.edges, torch.ones(graph.edges.shape[1], 1))
    with pytest.raises(RagkitError, match="1 of 2 graphs have edge features"):
        batched([graph, rich])


@pytest.mark.row(126)
def test_the_mean_is_of_real_nodes() -> None:
    h, owner = torch.tensor([[1.0], [3.0], [9.0], [5.0]]), torch.tensor([0, 0, 0, 1])
    real = torch.tensor([True, True, False, True])
    assert mean_pool(h, owner, 2, real).tolist() == [[2.0], [5.0]]
    with pytest.raises(RagkitError, match="expected 3 graphs of 1 or more"):
        mean_pool(h, owner, 3)
    with pytest.raises(RagkitError, match="expected 1 graphs"):
        mean_pool(h, owner, 1)


@pytest.mark.row(127)
def test_loss_of_the_known_nodes_only() -> None:
    logits, labels = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    known = torch.tensor([1, 4])
    expected = functional.cross_entropy(logits[[1, 4]], labels[[1, 4]])
    assert node_loss(logits, labels, known) == expected
    two = torch.cat([torch.zeros(6, 1), logits[:, :1]], dim=1)
    binary = node_loss(logits[:, :1], labels % 2, known)
    assert torch.allclose(binary, functional.cross_entropy(two[known], labels[known] % 2))
    with pytest.raises(RagkitError, match="no node with a label"):
        node_loss(logits, labels, known[:0])


@pytest.mark.row(125)
def test_pairs_that_are_no_edges(graph: Graph) -> None:
    first, second = non_edges(graph.edges, graph.nodes, 500, torch.Generator().manual_seed(0))
    a = graph.matrices().a
    assert not a[first, second].any() and (first != second).all() and len(first) == 500
    assert len(torch.unique(first * graph.nodes + second)) > 60
    everyone = torch.combinations(torch.arange(4)).T
    with pytest.raises(RagkitError, match="all pairs of 4 nodes are joined"):
        non_edges(everyone, 4, 1)


@pytest.mark.row(141)
def test_attention_is_shared_out(graph: Graph) -> None:
    layer = GraphLayer(5, 6, "attention", heads=3).double()
    heard = Neighbours.of(graph.edges, 12).with_loops()
    weights = layer.attention_weights(graph.features, heard)
    assert weights.shape == (graph.edges.shape[1] + 12, 3)
    assert torch.allclose(heard.total(weights), torch.ones(12, 3).double())
    assert torch.equal(weights[-1], torch.ones(3).double())  # node 11 hears only itself
