"""The one loop on two players: a step is one update of either, in the order of Algorithm 1. Rows 113-118.

An epoch is one iteration of the algorithm, so that the loop's place in it says whose turn it is, and a run
that was broken off goes on with the right one. The player who waits has no gradient, and Adam leaves
parameters without a gradient and their moments alone: one optimiser serves both.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ragkit.models.generative.adversaries import Adversaries, Turn
from ragkit.training.recipe import LoopSettings, Recipe

LOOP = LoopSettings(
    learning_rate=2e-3,
    max_steps=2400,
    warm_up=0.0,
    weight_decay=0.0,
    max_gradient_norm=1e9,
    precision="fp32",
    validate_every=400,
    log_every=100,
)


class AdversarialRecipe(Recipe):
    """Trains `model` on fresh items.

    Args:
        draw: makes that many items of the data, (count, ...), by torch's generator.
        scores: numbers of the generator, called in evaluation mode; beside them the critic's "distance" is
            measured.
        turns: whose the updates of one iteration are.
        critic_rate: what the critic's learning rate is multiplied with.
        betas: Adam's; little or no momentum, since the other player moves the aim.
    """

    best_metric = "distance"

    def __init__(
        self,
        model: Adversaries,
        draw: Callable[[int], Tensor],
        scores: Callable[[Adversaries], dict[str, float]],
        *,
        turns: Sequence[Turn],
        batch_size: int,
        critic_rate: float = 1.0,
        betas: tuple[float, float] = (0.0, 0.9),
    ) -> None:
        self.model: Adversaries = model
        self._draw, self._scores, self._turns = draw, scores, turns
        self._batch_size, self._critic_rate, self._betas = batch_size, critic_rate, betas

    def batches(self, epoch: int) -> Sequence[Turn]:
        return self._turns

    def before_step(self, step: int) -> None:
        self.model.project()

    def step(self, model: nn.Module, batch: Turn) -> dict[str, Tensor]:
        if batch == "generator":
            return {"loss": self.model.generator_loss(self._batch_size)}
        return {"loss": self.model.critic_loss(self._items(self._batch_size))}

    def validate(self, model: nn.Module) -> dict[str, float]:
        self.model.project()
        torch.manual_seed(0)
        return {"distance": float(self.model.distance(self._items(2000)))} | self._scores(self.model)

    def learning_rate_scale(self, name: str) -> float:
        return self._critic_rate if name.startswith("critic.") else 1.0

    def optimizer(self, groups: list[dict[str, Any]], learning_rate: float) -> torch.optim.Optimizer:
        return torch.optim.Adam(groups, lr=learning_rate, betas=self._betas, fused=True)

    def _items(self, count: int) -> Tensor:
        return self._draw(count).to(next(self.model.critic.parameters()).device)
