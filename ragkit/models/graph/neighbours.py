"""Who hears whom in one layer: agg[n] = Σ_{m ∈ ne[n]} c_nm h_m without an N x N matrix. Rows 129, 133.

The notes' H(A + I) multiplies with a matrix that is nearly all zeros; here the edges are a list, and each
message is added where it goes. A layer may serve fewer nodes than it hears (a sampled neighbourhood): these
come first. Degrees stay those of the whole graph, and `stands_for` says for how many neighbours a drawn one
counts, so that sums over a sample estimate those over all.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Neighbours:
    """
    Attributes:
        sources, targets: (edges,), node numbers.
        degrees: (nodes,), |ne[n]| in the whole graph, for all nodes that are heard.
        receivers: how many nodes get a new embedding, the first ones; targets are less than it.
        stands_for: (edges,), or None where every neighbour is there.
    """

    sources: Tensor
    targets: Tensor
    degrees: Tensor
    receivers: int
    stands_for: Tensor | None = None

    @classmethod
    def of(cls, edges: Tensor, nodes: int) -> "Neighbours":
        """All neighbours of all nodes, from edges (2, edges)."""
        sources, targets = edges[0], edges[1]
        return cls(sources, targets, torch.bincount(targets, minlength=nodes), nodes)

    def total(self, messages: Tensor) -> Tensor:
        """Messages (edges, ...) summed where they go, (receivers, ...)."""
        if self.stands_for is not None:
            messages = messages * self.stands_for.to(messages.dtype).view(-1, *[1] * (messages.ndim - 1))
        return messages.new_zeros(self.receivers, *messages.shape[1:]).index_add_(0, self.targets, messages)

    def largest(self, messages: Tensor) -> Tensor:
        """The elementwise maximum of the messages (edges, width) to each node; 0 where there is none."""
        places = self.targets[:, None].expand_as(messages)
        empty = messages.new_zeros(self.receivers, messages.shape[1])
        return empty.scatter_reduce(0, places, messages, "amax", include_self=False)

    def with_loops(self) -> "Neighbours":
        """A + I: each receiver hears itself, too."""
        own = torch.arange(self.receivers, device=self.sources.device)
        count = None
        if self.stands_for is not None:
            count = torch.cat([self.stands_for, self.stands_for.new_ones(self.receivers)])
        return Neighbours(
            torch.cat([self.sources, own]),
            torch.cat([self.targets, own]),
            self.degrees + 1,
            self.receivers,
            count,
        )

    def softmax(self, scores: Tensor) -> Tensor:
        """Scores (edges, ...) to weights that sum to 1 over all that one node hears: the notes' softmask."""
        places = self.targets.view(-1, *[1] * (scores.ndim - 1)).expand_as(scores)
        top = scores.new_full((self.receivers, *scores.shape[1:]), -torch.inf)
        top = top.scatter_reduce(0, places, scores.detach(), "amax")
        raised = (scores - top[self.targets]).exp()
        return raised / self.total(raised)[self.targets]
