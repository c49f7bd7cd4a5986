"""A small random graph, in float64."""

import pytest
import torch

from ragkit.models.graph.graph import Graph, undirected


@pytest.fixture
def graph() -> Graph:
    """12 nodes with 5 features; node 11 has no neighbours."""
    generator = torch.Generator().manual_seed(0)
    pairs = torch.randint(11, (2, 20), generator=generator)
    return Graph(torch.randn(12, 5, generator=generator, dtype=torch.float64), undirected(pairs))
