"""Rows 143-146: small weights go, the others are trained on."""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from ragkit.chapters.compress.digits import BATCH, HELD_OUT, accuracy, data, fit, loss, network
from ragkit.chapters.experiment import Experiment
from ragkit.chapters.picture import panels, save
from ragkit.chapters.tensors import TensorRecipe
from ragkit.models.basics.mlp import Mlp
from ragkit.models.compress.csr_storage import csr_bytes, dense_bytes
from ragkit.models.compress.iterative import prune_and_tune
from ragkit.models.compress.magnitude import (
    Masks,
    apply_masks,
    left,
    magnitude_masks,
    matrices,
    threshold_mask,
)
from ragkit.models.compress.masked import keep_pruned, masked
from ragkit.training.recipe import LoopSettings, Recipe

SEEDS = (0, 1, 2)
TUNING = 150
"""Steps of a round."""


class GradualRecipe(TensorRecipe):
    """Trains dense for `dense` steps, then prunes every `every` steps down to `left` of all weights."""

    masks: Masks | None = None

    def __init__(self, model: nn.Module, left: float, dense: int, every: int, rounds: int, seed: int) -> None:
        split = data()
        super().__init__(
            model,
            (split.train_x, split.train_y),
            loss,
            lambda trained: {"accuracy": accuracy(trained), "left": self.left},
            batch_size=BATCH,
            seed=seed,
            best_metric="accuracy",
        )
        self._keep, self._dense, self._every, self._rounds = left ** (1 / rounds), dense, every, rounds

    @property
    def left(self) -> float:
        return 1.0 if self.masks is None else left(self.masks)

    def before_step(self, step: int) -> None:
        if self.masks is None:  # the start, or where a run goes on: what is 0 was pruned
            self.masks = {name: p.detach() != 0 for name, p in matrices(self.model).items()}
        past = step - self._dense
        if past >= 0 and past % self._every == 0 and past // self._every < self._rounds:
            smaller = magnitude_masks(self.model, self._keep, self.masks, together=True)
            for name, mask in smaller.items():
                self.masks[name].copy_(mask)
            apply_masks(self.model, self.masks)

    def optimizer(self, groups: list[dict[str, Any]], learning_rate: float) -> torch.optim.Optimizer:
        optimiser = super().optimizer(groups, learning_rate)
        optimiser.register_step_post_hook(lambda *_: apply_masks(self.model, self.masks or {}))
        return optimiser


@dataclass(frozen=True, kw_only=True)
class Pruned(Experiment):
    """Digits by 64-300-100-10, pruned to `left` of its weights in `rounds` while it is trained."""

    left: float = 0.107
    rounds: int = 10
    dense: int = 400
    every: int = 60
    loop: LoopSettings = LoopSettings(
        learning_rate=2e-3, max_steps=1200, precision="fp32", validate_every=100, log_every=50
    )

    def recipe(self) -> Recipe:
        return GradualRecipe(
            network(self.loop.seed), self.left, self.dense, self.every, self.rounds, self.loop.seed
        )

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        assert isinstance(recipe.model, Mlp)
        dense = network(self.loop.seed)
        fit(dense, seed=self.loop.seed, steps=self.loop.max_steps or 400)
        draw_weights({"dense": dense, "pruned": recipe.model}, out / "weights.png")
        return {"accuracy dense": accuracy(dense), "csr / dense bytes": csr_share(recipe.model)}


def csr_share(model: nn.Module) -> float:
    weights = list(matrices(model).values())
    return sum(map(csr_bytes, weights)) / sum(map(dense_bytes, weights))


def draw_weights(models: dict[str, nn.Module], file: Path) -> None:
    """Histograms of the weights that are not 0."""
    figure, axes = panels(len(models))
    for axis, (name, model) in zip(axes, models.items(), strict=True):
        every = torch.cat([p.detach().flatten() for p in matrices(model).values()])
        axis.hist(every[every != 0].numpy(), bins=101, range=(-0.6, 0.6))
        axis.set(title=f"{name}: {100 * float((every != 0).float().mean()):.1f} % left", xlabel="weight")
        axis.set_yscale("log")
    save(figure, file)


def threshold_pruning() -> dict[str, float]:
    """Row 143: a threshold, a share of each matrix, a share of all, each against `torch.nn.utils.prune`."""
    model = network(0)
    wrong = 0
    for together in (False, True):
        ours, theirs = magnitude_masks(model, 0.3, together=together), deepcopy(model)
        layers = [(layer, "weight") for layer in theirs.layers]
        if together:
            prune.global_unstructured(layers, prune.L1Unstructured, amount=0.7)
        else:
            for layer, name in layers:
                prune.l1_unstructured(layer, name, amount=0.7)
        for (name, mask), (layer, _) in zip(ours.items(), layers, strict=True):
            wrong += int((layer.get_buffer("weight_mask").bool() != mask).sum())
            if not together:
                smallest = model.get_parameter(name).detach().abs()[mask].min()
                wrong += int((threshold_mask(model.get_parameter(name), float(smallest)) != mask).sum())
    return {"weights masked otherwise": wrong}


def prune_and_fine_tune() -> dict[str, list[float]]:
    """Row 144: rounds of a fifth, until a point is lost on held-out digits; accuracies on the test digits."""
    gained, lost, kept, stored = [], [], [], []
    for seed in SEEDS:
        model = network(seed)
        fit(model, seed=seed, held_out=HELD_OUT)
        dense = accuracy(model)

        def tune(pruned: nn.Module, masks: Masks, seed: int = seed) -> None:
            fit(pruned, masks, seed=seed, steps=TUNING, held_out=HELD_OUT)

        masks, rounds = prune_and_tune(model, tune, lambda m: accuracy(m, held_out=True), tolerance=0.01)
        gained.append(100 * sum(r.tuned - r.pruned for r in rounds) / len(rounds))
        lost.append(100 * (dense - accuracy(model)))
        kept.append(left(masks))
        stored.append(csr_share(model))
    return {
        "points gained by fine-tuning": gained,
        "points lost in the end": lost,
        "weights left": kept,
        "CSR / dense bytes": stored,
    }


def ninety_percent() -> dict[str, list[float]]:
    """Row 145: 10.7 % left after ten rounds of a fifth; and the same share without any training."""
    kept, lost, untuned = [], [], []
    for seed in SEEDS:
        dense = network(seed)
        fit(dense, seed=seed)
        model = deepcopy(dense)

        def tune(pruned: nn.Module, masks: Masks, seed: int = seed) -> None:
            fit(pruned, masks, seed=seed, steps=TUNING)

        masks, _ = prune_and_tune(model, tune, lambda _: 0.0, most_rounds=10)
        at_once = deepcopy(dense)
        apply_masks(at_once, magnitude_masks(at_once, left(masks), together=True))
        kept.append(left(masks))
        lost.append(100 * (accuracy(dense) - accuracy(model)))
        untuned.append(100 * (accuracy(dense) - accuracy(at_once)))
    return {"weights left": kept, "points lost": lost, "points lost without retraining": untuned}


def masked_network() -> dict[str, float]:
    """Row 146: weights pruned amid a training with AdamW, whose moments would move them on."""
    split, model = data(), network(0)
    x, y = split.train_x[:BATCH], split.train_y[:BATCH]
    moved = {}
    for kept in (True, False):
        trained = deepcopy(model)
        optimiser = torch.optim.AdamW(trained.parameters(), lr=1e-2)
        _steps(trained, optimiser, x, y, 5)
        masks = magnitude_masks(trained, 0.2)
        if kept:
            keep_pruned(optimiser, trained, masks)
        else:
            apply_masks(trained, masks)
        _steps(trained, optimiser, x, y, 10, None if kept else masks)
        moved[kept] = sum(
            int((p[~masks[name]] != 0).sum()) for name, p in matrices(trained).items() if name in masks
        )
        if kept:
            with torch.no_grad():
                off = float((masked(trained, masks, x) - trained(x)).abs().max())
    return {
        "pruned weights that moved": moved[True],
        "that moved with the gradient masked only": moved[False],
        "f(x; m θ) off": off,
    }


def _steps(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    x: Tensor,
    y: Tensor,
    count: int,
    masks: Masks | None = None,
) -> None:
    for _ in range(count):
        optimiser.zero_grad()
        loss(model, x, y).backward()
        for name, mask in (masks or {}).items():
            gradient = model.get_parameter(name).grad
            assert gradient is not None
            gradient.mul_(mask)
        optimiser.step()
