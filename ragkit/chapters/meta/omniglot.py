"""Handwritten characters for the few-shot models: three whole alphabets are never trained on."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ragkit.chapters.data import data_folder
from ragkit.models.meta.episodes import Episode, EpisodeSampler, split_classes

HELD_OUT = ("Latin", "Sanskrit", "Tagalog")
SIDE = 14


class Task(NamedTuple):
    """An episode with its images: support (items, 1, 14, 14), labels (items,), query and its labels."""

    support: Tensor
    labels: Tensor
    query: Tensor
    query_labels: Tensor

    @property
    def ways(self) -> int:
        return int(self.labels.max()) + 1

    def to(self, device: torch.device) -> "Task":
        return Task(*(tensor.to(device) for tensor in self))


class Characters(NamedTuple):
    """Images (items, 1, 14, 14), ink 1 on 0, with the number of their character (items,)."""

    images: Tensor
    labels: Tensor

    def task(self, episode: Episode) -> Task:
        support, query = self.images[episode.support], self.images[episode.query]
        return Task(support, episode.labels, query, episode.query_labels)


def characters() -> tuple[Characters, Characters]:
    """Omniglot's small set (Lake et al. 2015), 20 drawings a character, at half its side: to train on, each
    quarter turn of a character being one more (Santoro et al. 2016), 628 in all; and the 85 held out.

    Raises:
        MissingError: if it is not on this machine.
    """
    with np.load(data_folder("omniglot_small") / "omniglot_small.npz") as arrays:
        pixels, character, alphabet = (arrays[name] for name in ("images", "character", "alphabet"))
        names = arrays["alphabet_names"].tolist()
    images = functional.avg_pool2d(torch.as_tensor(pixels, dtype=torch.float32)[:, None] / 255, 2)
    labels = torch.as_tensor(character, dtype=torch.long)
    apart = np.isin(alphabet, [names.index(name) for name in HELD_OUT])
    train, test = split_classes(labels, np.unique(character[apart]).tolist())
    count = int(labels.max()) + 1
    turned = [images[train].rot90(turn, (2, 3)) for turn in range(4)]
    return (
        Characters(torch.cat(turned), torch.cat([labels[train] + count * turn for turn in range(4)])),
        Characters(images[test], labels[test]),
    )


def tasks(data: Characters, count: int, ways: int = 5, shots: int = 1, queries: int = 5) -> list[Task]:
    """The first `count` tasks that models are tested on, the same each time."""
    sampler = EpisodeSampler(data.labels, ways, shots, queries)
    generator = torch.Generator().manual_seed(0)
    return [data.task(sampler.draw(generator)) for _ in range(count)]


def nearest_pixels(task: Task) -> Tensor:
    """The label, (queries,), of the support image with the least squared difference."""
    return task.labels[torch.cdist(task.query.flatten(1), task.support.flatten(1)).argmin(dim=1)]
