"""A model trained on episodes."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from ragkit.chapters.meta.omniglot import Characters, Task
from ragkit.models.meta.episodes import Episode, EpisodeSampler
from ragkit.training.recipe import Recipe

EPOCH = 100
"""Batches in what the loop calls an epoch: episodes have no end."""


class EpisodeRecipe(Recipe):
    """
    Args:
        data: what the episodes are drawn from, by `sampler`.
        loss: of the model on a task, a scalar.
        scores: numbers on classes held out, called in evaluation mode; "accuracy" is one of them.
        tasks: how many episodes a step takes the mean loss of.
    """

    best_metric = "accuracy"

    def __init__(
        self,
        model: nn.Module,
        data: Characters,
        sampler: EpisodeSampler,
        loss: Callable[[nn.Module, Task], Tensor],
        scores: Callable[[nn.Module], dict[str, float]],
        seed: int,
        tasks: int = 1,
    ) -> None:
        self.model, self._data, self._sampler = model, data, sampler
        self._loss, self._scores, self._seed, self._tasks = loss, scores, seed, tasks

    def batches(self, epoch: int) -> Sequence[list[Episode]]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + epoch)
        return [[self._sampler.draw(generator) for _ in range(self._tasks)] for _ in range(EPOCH)]

    def step(self, model: nn.Module, batch: list[Episode]) -> Mapping[str, Tensor]:
        device = next(model.parameters()).device
        losses = [self._loss(model, self._data.task(episode).to(device)) for episode in batch]
        return {"loss": torch.stack(losses).mean()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        return self._scores(model)
