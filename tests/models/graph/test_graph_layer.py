"""Rows 129, 135-142: layers beyond what the row checks measure."""

from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ragkit.errors import RagkitError
from ragkit.models.graph.graph import Graph, undirected
from ragkit.models.graph.graph_layer import Aggregate, GraphLayer
from ragkit.models.graph.neighbours import Neighbours
from ragkit.models.graph.network import GraphNetwork, dropped


def by_hand(layer: GraphLayer, h: Tensor, edges: Tensor) -> Tensor:
    """The pre-activations of the docstring's table, node after node."""
    z, rows = h @ layer.weight.T, []
    for n in range(len(h)):
        heard = edges[0, edges[1] == n].tolist()
        total = torch.stack([z[m] for m in heard]).sum(0) if heard else torch.zeros_like(z[0])
        degree = [int((edges[1] == m).sum()) for m in range(len(h))]
        match layer.aggregate:
            case "sum":
                row = z[n] + total
            case "diagonal":
                row = (1 + layer.epsilon) * z[n] + total
            case "generalised":
                row = layer.own_weight @ h[n] + total
            case "residual":
                row = total
            case "mean":
                row = z[n] + total / max(1, len(heard))
            case "kipf":
                near = [z[m] / ((degree[n] + 1) * (degree[m] + 1)) ** 0.5 for m in [*heard, n]]
                row = torch.stack(near).sum(0)
            case "max":
                top = torch.stack([h[m] for m in heard]).amax(0) if heard else torch.zeros_like(h[n])
                row = layer.weight @ (h[n] + top)
            case _:
                each = [*heard, n]
                phi = torch.cat([layer.score_target[0], layer.score_source[0]])
                scores = torch.stack([phi @ torch.cat([z[n], z[m]]) for m in each])
                weights = torch.softmax(torch.nn.functional.leaky_relu(scores, 0.2), 0)
                row = weights @ torch.stack([z[m] for m in each])
        rows.append(row + layer.bias)
    return torch.stack(rows)


@pytest.mark.parametrize("aggregate", get_args(Aggregate))
def test_each_node_as_the_table_says(graph: Graph, aggregate: Any) -> None:
    torch.manual_seed(1)
    layer = GraphLayer(5, 4, aggregate, activation=torch.tanh).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    found = layer(graph.features, Neighbours.of(graph.edges, 12))
    expected = torch.tanh(by_hand(layer, graph.features, graph.edges))
    assert (found[:, :4] - expected).abs().max() < 1e-12
    assert found.shape == (12, layer.width)


@pytest.mark.parametrize("aggregate", get_args(Aggregate))
def test_sparse_features_are_the_dense_ones(graph: Graph, aggregate: Any) -> None:
    layer = GraphLayer(5, 4, aggregate).double()
    neighbours = Neighbours.of(graph.edges, 12)
    sparse = graph.features.to_sparse_coo()
    assert (layer(sparse, neighbours) - layer(graph.features, neighbours)).abs().max() < 1e-12


@pytest.mark.row(141)
def test_the_notes_beta_moves_the_scores(graph: Graph) -> None:
    torch.manual_seed(0)
    standard = GraphLayer(5, 4, "attention").double()
    notes = GraphLayer(5, 4, "attention", variant="notes").double()
    notes.load_state_dict(standard.state_dict())
    neighbours = Neighbours.of(graph.edges, 12)
    assert torch.equal(standard(graph.features, neighbours), notes(graph.features, neighbours))
    for layer in (standard, notes):
        torch.nn.init.constant_(layer.bias, 2.0)
    assert (standard(graph.features, neighbours) - notes(graph.features, neighbours)).abs().max() > 1e-3


@pytest.mark.row(139)
def test_kipfs_two_forms_on_a_pair() -> None:
    """Two joined nodes with embeddings 1 and 3: halves of both, or the neighbour beside the node."""
    edges = undirected(torch.tensor([[0], [1]]))
    for variant, expected in (("standard", [2.0, 2.0]), ("notes", [4.0, 4.0])):
        layer = GraphLayer(1, 1, "kipf", variant=variant)  # type: ignore[arg-type]
        torch.nn.init.ones_(layer.weight)
        h = layer(torch.tensor([[1.0], [3.0]]), Neighbours.of(edges, 2))
        assert h[:, 0].tolist() == pytest.approx(expected)


@pytest.mark.row(124)
@settings(max_examples=30, deadline=None)
@given(
    aggregate=st.sampled_from(get_args(Aggregate)),
    nodes=st.integers(1, 9),
    pairs=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=15),
    seed=st.integers(0, 99),
)
def test_numbers_of_nodes_do_not_matter(
    aggregate: Any, nodes: int, pairs: list[tuple[int, int]], seed: int
) -> None:
    torch.manual_seed(seed)
    ends = torch.tensor(pairs, dtype=torch.long).view(-1, 2).T % nodes
    graph = Graph(torch.randn(nodes, 3, dtype=torch.float64), undirected(ends))
    order = torch.randperm(nodes)
    net = GraphNetwork([3, 6, 2], aggregate, heads=2).double()
    moved = graph.permuted(order)
    found = net(moved.features, Neighbours.of(moved.edges, nodes))
    assert (found - net(graph.features, Neighbours.of(graph.edges, nodes))[order]).abs().max() < 1e-10


def test_dropout_of_sparse_features() -> None:
    torch.manual_seed(0)
    dense = torch.rand(200, 50) * (torch.rand(200, 50) < 0.3)
    fallen = dropped(dense.to_sparse_coo(), 0.25, True).to_dense()
    kept = fallen != 0
    assert torch.allclose(fallen[kept], dense[kept] / 0.75)
    assert kept.sum() / (dense != 0).sum() == pytest.approx(0.75, abs=0.03)
    assert torch.equal(dropped(dense.to_sparse_coo(), 0.25, False).to_dense(), dense)


def test_what_does_not_fit_is_refused(graph: Graph) -> None:
    neighbours = Neighbours.of(graph.edges, 12)
    with pytest.raises(RagkitError, match="no aggregation 'median': there are sum"):
        GraphLayer(5, 4, "median")  # type: ignore[arg-type]
    with pytest.raises(RagkitError, match="4 outputs cannot be shared by 3 heads"):
        GraphLayer(5, 4, "attention", heads=3)
    with pytest.raises(RagkitError, match=r"embeddings .12, 5.: expected .12, 6."):
        GraphLayer(6, 4)(graph.features, neighbours)
    with pytest.raises(RagkitError, match="neighbours for 3 layers, there are 2"):
        GraphNetwork([5, 4, 3])(graph.features, [neighbours] * 3)
    with pytest.raises(RagkitError, match="expected numbers from 0 to 3"):
        Graph(torch.ones(4, 2), torch.tensor([[0], [4]]))
    with pytest.raises(RagkitError, match=r"expected .nodes, features. and .2, edges."):
        Graph(torch.ones(4, 2), torch.tensor([0, 3]))
    with pytest.raises(RagkitError, match="features of 2 edges, there are 1"):
        Graph(torch.ones(4, 2), torch.tensor([[0], [3]]), torch.ones(2, 1))
