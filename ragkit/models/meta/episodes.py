"""Episodes: N classes, of each K items that support (S) and some others that are asked for (B). Row 152.

Items are drawn without replacement, so that no item is in S and B. The classes met in training and those a
model is tested on have to be disjoint: the notes ask for "a totally different task", `split_classes` sees to
it. Labels are 0 .. N-1 in each episode, in the order in which its classes were drawn, so that a class cannot
be learnt by its number.
"""

from collections.abc import Collection
from typing import NamedTuple

import torch
from torch import Tensor

from ragkit.errors import RagkitError


class Episode(NamedTuple):
    """Rows of a data set: support (ways * shots,) and query (ways * queries,) with their labels; the class of
    each label, (ways,)."""

    support: Tensor
    labels: Tensor
    query: Tensor
    query_labels: Tensor
    classes: Tensor


class EpisodeSampler:
    """Draws episodes from the items whose classes are `labels` (items,).

    Raises:
        RagkitError: if there are fewer classes than `ways`, or one has fewer items than an episode needs.
    """

    def __init__(self, labels: Tensor, ways: int, shots: int, queries: int) -> None:
        self.ways, self.shots, self.queries = ways, shots, queries
        self.classes, counts = labels.unique(return_counts=True)
        if min(ways, shots, queries) < 1 or ways > len(self.classes):
            raise RagkitError(
                f"episodes of {ways} classes with {shots} + {queries} items: give 1 or more of each, "
                f"and at most the {len(self.classes)} classes there are"
            )
        if int(counts.min()) < shots + queries:
            scarce = int(self.classes[counts.argmin()])
            raise RagkitError(
                f"class {scarce} has {int(counts.min())} items: {shots} to support and {queries} to ask for "
                f"need {shots + queries}"
            )
        self.rows = labels.argsort(stable=True).split(counts.tolist())

    def draw(self, generator: torch.Generator) -> Episode:
        """An episode; all ways to choose one are equally likely."""
        chosen = torch.randperm(len(self.rows), generator=generator)[: self.ways]
        support, query = [], []
        for place in chosen.tolist():
            rows = self.rows[place]
            drawn = rows[torch.randperm(len(rows), generator=generator)[: self.shots + self.queries]]
            support.append(drawn[: self.shots])
            query.append(drawn[self.shots :])
        labels = torch.arange(self.ways)
        return Episode(
            torch.cat(support),
            labels.repeat_interleave(self.shots),
            torch.cat(query),
            labels.repeat_interleave(self.queries),
            self.classes[chosen],
        )


def split_classes(labels: Tensor, held_out: Collection[int]) -> tuple[Tensor, Tensor]:
    """The rows of `labels` (items,) to train on, and those of the classes held out."""
    apart = torch.isin(labels, torch.tensor(sorted(held_out), dtype=labels.dtype))
    return (~apart).nonzero()[:, 0], apart.nonzero()[:, 0]
