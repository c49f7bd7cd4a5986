"""Neighbour sampling: for a batch of nodes, some of the neighbours for each layer. Row 133.

The k-hop field of a batch (row 132) may be the whole graph. GraphSAGE (Hamilton et al. 2017) draws at most s
neighbours a node, without replacement, for each layer, from the last to the first: at most b(1 + s)^k nodes
are touched, however large the graph is. A drawn neighbour of n stands for |ne n| / s of them:

    E[ |ne n|/s Σ_{m drawn} h_m ] = Σ_{m ∈ ne[n]} h_m

so that each layer's sum is unbiased, and with it the mean; a nonlinearity after it keeps only consistency.
With s ≥ every degree it is the full graph.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ragkit.errors import RagkitError
from ragkit.models.graph.neighbours import Neighbours


class Sample(NamedTuple):
    """What a network needs to embed a batch of nodes."""

    nodes: Tensor
    """(touched,): numbers in the graph; the batch comes first, then what each hop added."""
    layers: list[Neighbours]
    """One a layer, the first layer's first; they number nodes by their place in `nodes`."""


class NeighbourSampler:
    """Draws from edges (2, edges) between `nodes` nodes.

    Args:
        fan_out: the most neighbours a node hears, one number a layer, that of the first layer first.
    """

    def __init__(self, edges: Tensor, nodes: int, fan_out: Sequence[int]) -> None:
        if not fan_out or min(fan_out) < 1:
            raise RagkitError(f"a fan-out of {list(fan_out)}: give 1 or more for each layer")
        order = torch.argsort(edges[1], stable=True)
        self.sources, self.fan_out = edges[0, order], list(fan_out)
        self.degrees = torch.bincount(edges[1], minlength=nodes)
        self.starts = self.degrees.cumsum(0) - self.degrees

    def sample(self, batch: Tensor, generator: torch.Generator | None = None) -> Sample:
        """For the nodes numbered `batch` (nodes,), all of them different."""
        touched, drawn = batch, []
        for fan_out in reversed(self.fan_out):
            sources, targets, stands_for = self._drawn(touched, fan_out, generator)
            new = torch.unique(sources[~torch.isin(sources, touched)])
            receivers, touched = len(touched), torch.cat([touched, new])
            inside, order = touched.sort()  # places are found in what is touched: the graph may be large
            drawn.append(
                (order[torch.searchsorted(inside, sources)], targets, touched, receivers, stands_for)
            )
        layers = [
            Neighbours(sources, targets, self.degrees[heard], receivers, stands_for)
            for sources, targets, heard, receivers, stands_for in reversed(drawn)
        ]
        return Sample(touched, layers)

    def _drawn(
        self, nodes: Tensor, fan_out: int, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """For each edge the neighbour drawn, the place in `nodes` of who hears it, how many it stands for."""
        degrees = self.degrees[nodes]
        targets = torch.repeat_interleave(torch.arange(len(nodes)), degrees)
        firsts = degrees.cumsum(0) - degrees
        within = torch.arange(len(targets)) - firsts[targets]
        edge = self.starts[nodes][targets] + within
        # A random order within each target: sorted by a random key, then, stably, by target.
        order = torch.argsort(torch.rand(len(targets), generator=generator))
        order = order[torch.argsort(targets[order], stable=True)]
        kept = order[within < fan_out]
        stands_for = degrees / degrees.clamp(max=fan_out).clamp(min=1)
        return self.sources[edge[kept]], targets[kept], stands_for[targets[kept]]
