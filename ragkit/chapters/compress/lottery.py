"""Row 147: lottery tickets of 64-300-100-10 on digits, against the same masks with weights drawn anew."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ragkit.chapters.compress.digits import BATCH, accuracy, data, fit, loss, network
from ragkit.chapters.experiment import Experiment
from ragkit.chapters.picture import panels, save
from ragkit.chapters.tensors import TensorRecipe
from ragkit.models.compress.lottery import Ticket, tickets
from ragkit.models.compress.magnitude import Masks
from ragkit.models.compress.masked import keep_pruned
from ragkit.training.recipe import LoopSettings, Recipe

SMALL, SMALLEST = 0.2, 0.07
"""Shares of weights left at which row 147 compares."""


def found(seed: int, rounds: int, steps: int) -> list[Ticket]:
    """The dense network and the tickets of so many rounds."""

    def train(model: nn.Module, masks: Masks) -> None:
        fit(model, masks, seed=seed, steps=steps)

    return list(islice(tickets(network(seed), train), rounds + 1))


def drawn_anew(ticket: Ticket, seed: int, steps: int) -> float:
    """Accuracy of the ticket's mask trained from other weights."""
    model = network(seed + 1000)
    fit(model, ticket.masks, seed=seed, steps=steps)
    return accuracy(model)


class TicketRecipe(TensorRecipe):
    """A ticket rewound, trained by the loop."""

    def __init__(self, model: nn.Module, every: list[Ticket], seed: int) -> None:
        split = data()
        super().__init__(
            model,
            (split.train_x, split.train_y),
            loss,
            lambda trained: {"accuracy": accuracy(trained)},
            batch_size=BATCH,
            seed=seed,
            best_metric="accuracy",
        )
        self.found = every

    def optimizer(self, groups: list[dict[str, Any]], learning_rate: float) -> torch.optim.Optimizer:
        optimiser = super().optimizer(groups, learning_rate)
        keep_pruned(optimiser, self.model, self.found[-1].masks)
        return optimiser


@dataclass(frozen=True, kw_only=True)
class Lottery(Experiment):
    """Finds a ticket in `rounds` of `steps` steps and trains it, from its own start or one drawn anew."""

    rounds: int = 8
    steps: int = 400
    rewind: bool = True
    loop: LoopSettings = LoopSettings(
        learning_rate=1.2e-3, max_steps=400, precision="fp32", validate_every=50, log_every=50
    )

    def recipe(self) -> Recipe:
        seed = self.loop.seed
        every = found(seed, self.rounds, self.steps)
        return TicketRecipe(network(seed if self.rewind else seed + 1000), every, seed)

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        assert isinstance(recipe, TicketRecipe)
        every = recipe.found
        others = [drawn_anew(ticket, self.loop.seed, self.steps) for ticket in every]
        draw(every, others, out / "tickets.png")
        return {"left": every[-1].left, "accuracy dense": accuracy(every[0].trained)}


def draw(every: Sequence[Ticket], others: Sequence[float], file: Path) -> None:
    """Accuracy over weights left."""
    figure, (axes,) = panels()
    shares = [100 * ticket.left for ticket in every]
    axes.plot(shares, [accuracy(ticket.trained) for ticket in every], "o-", label="ticket")
    axes.plot(shares, others, "s--", label="same mask, weights drawn anew")
    axes.set_xscale("log")
    axes.invert_xaxis()
    axes.set(xlabel="% of weights left", ylabel="accuracy on test digits")
    axes.legend()
    save(figure, file)


def ticket() -> dict[str, list[float]]:
    """Row 147: the first tickets below `SMALL` and `SMALLEST` of the weights, three seeds."""
    dense, small, smallest, lefts, later = [], [], [], [], []
    steps = Lottery.steps
    for seed in (0, 1, 2):
        every = found(seed, 13, steps)
        first, second = (next(t for t in every if t.left <= share) for share in (SMALL, SMALLEST))
        dense.append(accuracy(every[0].trained))
        small.append(100 * (accuracy(first.trained) - dense[-1]))
        smallest.append(100 * (accuracy(second.trained) - drawn_anew(second, seed, steps)))
        needed = [steps_to(dense[-1], masks, seed) for masks in (first.masks, None)]
        later.append(needed[0] / needed[1])
        lefts.append(second.left)
    return {
        "≤ 20 % left: points over dense": small,
        "≤ 7 % left: points over the mask drawn anew": smallest,
        "steps to dense accuracy / the dense network's": later,
        "weights left": lefts,
    }


def steps_to(wanted: float, masks: Masks | None, seed: int, most: int = 400) -> int:
    """Of the network's training until it has the accuracy, within a point; in tens."""
    curve = fit(network(seed), masks, seed=seed, steps=most, measure_every=10)
    return next((step for step, reached in curve.items() if reached >= wanted - 0.01), most)
