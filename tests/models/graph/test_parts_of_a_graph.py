"""Rows 131, 133, 134: splits, samples and partitions."""

import pytest
import torch

from ragkit.errors import RagkitError
from ragkit.models.graph.graph import Graph, undirected
from ragkit.models.graph.neighbour_sampling import NeighbourSampler
from ragkit.models.graph.partitioning import cut_edges, partition
from ragkit.models.graph.splits import NodeSplit, inductive, separate, transductive


@pytest.mark.row(133)
def test_a_sample_keeps_to_its_fan_out(graph: Graph) -> None:
    sampler = NeighbourSampler(graph.edges, 12, [3, 2])
    batch = torch.tensor([5, 11, 0])
    a = graph.matrices().a
    for seed in range(20):
        sample = sampler.sample(batch, torch.Generator().manual_seed(seed))
        assert torch.equal(sample.nodes[:3], batch)
        assert len(sample.nodes.unique()) == len(sample.nodes) <= 3 * 3 * 4
        assert sample.layers[-1].receivers == 3
        assert sample.layers[0].receivers == len(sample.layers[1].degrees)
        for layer, most in zip(sample.layers, (3, 2), strict=True):
            sources, targets = sample.nodes[layer.sources], sample.nodes[layer.targets]
            assert a[targets, sources].all()
            degrees = sampler.degrees[sample.nodes[: layer.receivers]]
            drawn = torch.bincount(layer.targets, minlength=layer.receivers)
            assert torch.equal(drawn, degrees.clamp(max=most))
            assert len(torch.unique(sources * 12 + targets)) == len(sources)  # without replacement


def test_a_fan_out_of_nothing_is_refused(graph: Graph) -> None:
    for fan_out in ([], [3, 0]):
        with pytest.raises(RagkitError, match="give 1 or more for each layer"):
            NeighbourSampler(graph.edges, 12, fan_out)


@pytest.mark.row(134)
def test_parts_find_the_communities() -> None:
    """Four cliques of ten on a ring: one edge is cut between any two that follow each other."""
    inside = torch.combinations(torch.arange(10)).T
    ring = torch.tensor([[0, 10, 20, 30], [11, 21, 31, 1]])
    edges = undirected(torch.cat([inside + 10 * clique for clique in range(4)] + [ring], dim=1))
    part = partition(edges, 40, 4)
    assert sorted(torch.bincount(part).tolist()) == [10, 10, 10, 10]
    assert cut_edges(edges, part) == 8
    assert torch.equal(part, partition(edges, 40, 4))


@pytest.mark.row(134)
def test_parts_have_room_for_a_tenth_more(graph: Graph) -> None:
    generator = torch.Generator().manual_seed(0)
    edges = undirected(torch.randint(200, (2, 500), generator=generator))
    sizes = torch.bincount(partition(edges, 200, 7), minlength=7)
    assert sizes.sum() == 200 and sizes.min() >= 1 and sizes.max() <= 1.1 * 200 / 7 + 1
    for parts in (0, 13):
        with pytest.raises(RagkitError, match=f"{parts} parts of 12 nodes"):
            partition(graph.edges, 12, parts)


@pytest.mark.row(131)
def test_what_is_there_while_it_learns(graph: Graph) -> None:
    split = NodeSplit(torch.tensor([0, 7]), torch.tensor([2, 9]), torch.tensor([4, 11]))
    train, validation, test = inductive(graph, split)
    assert (train.graph.nodes, validation.graph.nodes, test.graph.nodes) == (8, 10, 12)
    for part, wanted in ((train, split.train), (validation, split.validation), (test, split.test)):
        assert torch.equal(part.graph.features[part.nodes], graph.features[wanted])
    assert all(part.graph is graph for part in transductive(graph, split))


@pytest.mark.row(131)
def test_graphs_each_for_one_purpose() -> None:
    sizes = [3, 5, 2, 4, 6]
    split = separate(sizes, torch.Generator().manual_seed(0))
    for masks in zip(*split, strict=True):
        assert [mask.all() for mask in masks].count(True) == 1 and sum(m.any() for m in masks) == 1
    assert all(any(mask.all() for mask in masks) for masks in split)
    notes = separate([300] * 4, torch.Generator().manual_seed(0), variant="notes")
    for train, validation, test in zip(*notes, strict=True):
        assert test.all() != (train.any() and validation.any())
        assert torch.equal(train ^ validation ^ test, torch.ones(300, dtype=torch.bool))
    assert sum(bool(test.any()) for test in notes.test) == 1
    with pytest.raises(RagkitError, match="2 graphs: expected one or more for each purpose"):
        separate([3, 3], torch.Generator())
