"""The one training loop, on accelerate, that every recipe shares."""

import hashlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from torch import Tensor, nn

from ragkit.errors import RagkitError, disk_is_full
from ragkit.runtime.precision import computes_bf16
from ragkit.training.checkpoint import (
    Progress,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    save_weights,
)
from ragkit.training.curves import draw_curves
from ragkit.training.half_precision import HalfPrecision
from ragkit.training.recipe import Event, LoopSettings, OnEvent, Recipe, TrainingResult

DRAWN_EVERY = 30.0
"""Seconds between two pictures of the curve: one takes longer than a checkpoint of a small model."""


def train(
    recipe: Recipe,
    out: Path,
    settings: LoopSettings | None = None,
    on_event: OnEvent | None = None,
    fingerprint: Any = None,
) -> TrainingResult:
    """Trains `recipe.model`, resuming where `out` holds a checkpoint, and leaves its weights in it: the best
    ones where `settings.patience` may stop it early, else the last.

    Every random number follows from (seed, step), so a run that was killed and resumed ends with the
    weights of one that was not. In `out`: `checkpoint/`, `weights.safetensors`, `log.jsonl`, `curve.png`.

    Args:
        fingerprint: what else, next to the settings, must be the same to resume (data, sizes); JSON.

    Raises:
        RagkitError: if `out` holds a run with other settings, there is nothing to train on, the loss is no
            longer a number, or the disk is full.
    """
    try:
        return _Run(recipe, out, settings or LoopSettings(), on_event, fingerprint).run()
    except (OSError, SafetensorError) as error:
        if disk_is_full(error):
            raise RagkitError(
                f"{out}: no space left on the disk; the last checkpoint is as it was: free some and run the "
                "same command again"
            ) from error
        raise


def learning_rate_factor(step: int, total: int, warm_up: float) -> float:
    """Linear warm-up, then linear decay: the factor of the step numbered `step` (from 0) of `total`."""
    rising = max(1, round(total * warm_up))
    if step < rising:
        return (step + 1) / rising
    return max(0.0, (total - step) / max(1, total - rising))


class _Run:
    def __init__(
        self, recipe: Recipe, out: Path, settings: LoopSettings, on_event: OnEvent | None, fingerprint: Any
    ) -> None:
        self.recipe, self.out, self.settings = recipe, out, settings
        self.weights = out / "weights.safetensors"
        self.on_event = on_event or (lambda event: None)
        self.accelerator = Accelerator()
        identity = [asdict(settings), self.accelerator.num_processes, fingerprint]
        own = json.dumps(identity, sort_keys=True, default=str)
        self.fingerprint = hashlib.sha256(own.encode()).hexdigest()[:16]
        self.half = _in_bf16(settings, self.accelerator.device)
        self.model: nn.Module = HalfPrecision(recipe.model) if self.half else recipe.model
        self.optimizer = recipe.optimizer(_groups(recipe, settings), settings.learning_rate)
        self.progress = Progress()
        self.total = 0
        self.window: list[dict[str, float]] = []
        self._epoch: tuple[int, Sequence[Any]] | None = None
        self._drawn_at = time.monotonic()

    def run(self) -> TrainingResult:
        torch.manual_seed(self.settings.seed)
        self.out.mkdir(parents=True, exist_ok=True)
        self.model.to(self.accelerator.device)
        found = load_checkpoint(self.out / "checkpoint", self.recipe.model, self.optimizer, self.fingerprint)
        self.progress = found or Progress()
        self.total = self._plan()
        began = self.progress.step
        self._emit({"event": "start", "step": began, "total": self.total, "resumed": began > 0})
        stopped = self._loop()
        if self.progress.best_score is None or self.progress.scores.get("step") != self.progress.step:
            self._validate()
        self.accelerator.wait_for_everyone()
        scores = load_weights(self.weights, self.recipe.model)
        per_epoch = max(1, self.total) / max(1e-9, self._epochs_planned)
        result = TrainingResult(
            self.weights, self.progress.step, self.progress.step / per_epoch, scores, stopped
        )
        self._emit({"event": "done", "step": result.steps, "scores": result.scores, "stopped_early": stopped})
        return result

    def _plan(self) -> int:
        self._batches_per_step = self.settings.accumulate * self.accelerator.num_processes
        per_epoch = len(self._batches(0)) / self._batches_per_step
        if per_epoch == 0:
            raise RagkitError("nothing to train on: the training data gave no batch")
        total = self.settings.max_steps or math.ceil(per_epoch * self.settings.epochs)
        self._epochs_planned = total / per_epoch
        return total

    def _loop(self) -> bool:
        saved_at = time.monotonic()
        last = time.monotonic()
        stream = self._stream()
        while self.progress.step < self.total:
            self.recipe.before_step(self.progress.step)
            if self.recipe.validates_first and self.progress.step == 0:
                self._validate()
            self._optimise([next(stream) for _ in range(self._batches_per_step)])
            now = time.monotonic()
            self.progress.seconds += now - last
            last = now
            step = self.progress.step
            if step % self.settings.log_every == 0 or step == self.total:
                self._log_window()
            if step % self.settings.validate_every == 0 or step == self.total:
                self._validate()
            stop = bool(self.settings.patience) and (
                self.progress.validations_since_best >= self.settings.patience
            )
            every = self.recipe.checkpoint_every
            due = every is not None and step % every == 0
            ends = stop or step == self.total
            if ends or due or now - saved_at > 60 * self.settings.checkpoint_minutes:
                self._save(ends)
                saved_at = time.monotonic()
            if stop:
                return True
        return False

    def _stream(self) -> Iterator[Any]:
        while True:
            batches = self._batches(self.progress.epoch)
            while self.progress.batch < len(batches):
                self.progress.batch += 1
                yield batches[self.progress.batch - 1]
            self.progress.epoch, self.progress.batch = self.progress.epoch + 1, 0

    def _batches(self, epoch: int) -> Sequence[Any]:
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = (epoch, self.recipe.batches(epoch))
        return self._epoch[1]

    def _optimise(self, batches: list[Any]) -> None:
        step = self.progress.step
        # Reseeding makes each step a function of (seed, step): no generator state has to be stored.
        torch.manual_seed(self.settings.seed * 1_000_003 + step)
        factor = learning_rate_factor(step, self.total, self.settings.warm_up)
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * group["scale"] * factor
        self.model.train()
        sums: dict[str, float] = {}
        own = batches[self.accelerator.process_index :: self.accelerator.num_processes]
        for batch in own:
            values = self.recipe.step(self.model, batch)
            self.accelerator.backward(values["loss"] / len(own))
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach()) / len(own)
        self._average_gradients()
        if not math.isfinite(sums["loss"]):
            raise RagkitError(f"the loss became {sums['loss']} at step {step}: lower the learning rate")
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.settings.max_gradient_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.progress.step += 1
        self.window.append(sums | {"gradient_norm": float(norm)})

    def _average_gradients(self) -> None:
        """Several processes (`accelerate launch`) each took their share of the batches of this step."""
        if self.accelerator.num_processes == 1:
            return
        trained = [p for p in self.model.parameters() if p.requires_grad]
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in trained])
        flat = self.accelerator.reduce(flat, "mean")
        for parameter, part in zip(trained, flat.split([p.numel() for p in trained]), strict=True):
            parameter.grad = part.view_as(parameter)

    def _log_window(self) -> None:
        mean = {name: sum(row[name] for row in self.window) / len(self.window) for name in self.window[0]}
        self.window.clear()
        rate = self.optimizer.param_groups[0]["lr"]
        self._emit(
            {"event": "step", "step": self.progress.step, "total": self.total, "epoch": self.progress.epoch}
            | {"learning_rate": rate, "seconds": round(self.progress.seconds, 1)}
            | {name: round(value, 5) for name, value in mean.items()}
        )

    def _validate(self) -> None:
        self.model.eval()
        with torch.no_grad():
            scores = self.recipe.validate(self.model)
        score = scores[self.recipe.best_metric] * (-1 if self.recipe.best_metric == "loss" else 1)
        best = self.progress.best_score
        better = best is None or score > best or not self.settings.patience
        self.progress.validations_since_best = 0 if better else self.progress.validations_since_best + 1
        self.progress.scores = scores | {"step": float(self.progress.step)}
        if better:
            self.progress.best_score, self.progress.best_step = score, self.progress.step
        if better and self.accelerator.is_main_process:
            save_weights(self.weights, self.recipe.model, scores | {"step": self.progress.step})
        self._emit({"event": "validate", "step": self.progress.step, "kept": better} | scores)

    def _save(self, ends: bool) -> None:
        if not self.accelerator.is_main_process:
            return
        optimizer: torch.optim.Optimizer = self.optimizer
        save_checkpoint(
            self.out / "checkpoint", self.recipe.model, optimizer, self.progress, self.fingerprint
        )
        if ends or time.monotonic() - self._drawn_at > DRAWN_EVERY:
            draw_curves(self.out / "log.jsonl", self.out / "curve.png")
            self._drawn_at = time.monotonic()
        self._emit({"event": "checkpoint", "step": self.progress.step})

    def _emit(self, event: Event) -> None:
        if not self.accelerator.is_main_process:
            return
        with (self.out / "log.jsonl").open("a") as file:
            file.write(json.dumps(event) + "\n")
        self.on_event(event)


def _in_bf16(settings: LoopSettings, device: torch.device) -> bool:
    return computes_bf16(device) if settings.precision == "auto" else settings.precision == "bf16"


def _groups(recipe: Recipe, settings: LoopSettings) -> list[dict[str, Any]]:
    """Parameters by (learning rate scale, decay or none): biases and norms are not decayed."""
    groups: dict[tuple[float, bool], list[Tensor]] = {}
    for name, parameter in recipe.model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((recipe.learning_rate_scale(name), parameter.ndim > 1), []).append(parameter)
    if not groups:
        raise RagkitError("nothing to train: every parameter of the model is frozen")
    return [
        {"params": tensors, "scale": scale, "weight_decay": settings.weight_decay if decays else 0.0}
        for (scale, decays), tensors in groups.items()
    ]
