"""What happens between the steps of a trainer of transformers or sentence-transformers.

The trainer takes the steps; log, validation, checkpoints and resuming are those of every run of ragkit
(`loop`): `log.jsonl`, `curve.png`, and checkpoints of safetensors and JSON that survive kill -9.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import TrainerCallback

from ragkit.errors import RagkitError
from ragkit.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from ragkit.training.curves import draw_curves
from ragkit.training.recipe import Event, OnEvent


@dataclass(frozen=True, slots=True)
class Pace:
    """How often something is told, scored and kept; the seed that every step's randomness follows from."""

    log_every: int = 20
    validate_every: int = 200
    checkpoint_minutes: float = 5.0
    seed: int = 0


class Journal(TrainerCallback):
    """The callback of a run of `total` steps in the folder `out`, which may begin at a checkpoint.

    The trainer itself is to log and save nothing (`logging_strategy` and `save_strategy` "no") and to take
    the steps that are left.

    Args:
        validate: scores of the model as it stands, gradients off; empty where nothing is held out.
        fingerprint: of all that must be the same for a run to go on.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        out: Path,
        total: int,
        fingerprint: str,
        validate: Callable[[], dict[str, float]],
        on_event: OnEvent | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._model, self._optimizer, self._out, self._total = model, optimizer, out, total
        self._fingerprint, self._validate = fingerprint, validate
        self._on_event, self._pace = on_event or (lambda event: None), pace or Pace()
        self._begun = self._saved = time.monotonic()
        self.progress = Progress()

    def begin(self) -> int:
        """Restores the newest checkpoint and returns the steps that are done.

        Raises:
            RagkitError: if the checkpoint is of other settings or data, or damaged.
        """
        self._out.mkdir(parents=True, exist_ok=True)
        found = load_checkpoint(self._out / "checkpoint", self._model, self._optimizer, self._fingerprint)
        self.progress = found or Progress()
        step = self.progress.step
        self.emit({"event": "start", "step": step, "total": self._total, "resumed": step > 0})
        return step

    def end(self) -> dict[str, float]:
        """The last validation's scores, with the event that ends the log."""
        scores = self._scored()
        self.emit({"event": "done", "step": self.progress.step, "scores": scores})
        return scores

    def emit(self, event: Event) -> None:
        """Writes an event to the log and tells it."""
        with (self._out / "log.jsonl").open("a") as file:
            file.write(json.dumps(event) + "\n")
        if event["event"] in ("checkpoint", "done"):
            draw_curves(self._out / "log.jsonl", self._out / "curve.png")
        self._on_event(event)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._begun = self._saved = time.monotonic()

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        # Whatever is random in a model follows from (seed, step): no generator state has to be stored.
        torch.manual_seed(self._pace.seed * 1_000_003 + self.progress.step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        now = time.monotonic()
        self.progress.seconds += now - self._begun
        self._begun = now
        self.progress.step += 1
        step, last = self.progress.step, self.progress.step == self._total
        control.should_log = step % self._pace.log_every == 0 or last
        if step % self._pace.validate_every == 0 and not last:
            self._scored()
        if last or now - self._saved > 60 * self._pace.checkpoint_minutes:
            save_checkpoint(
                self._out / "checkpoint", self._model, self._optimizer, self.progress, self._fingerprint
            )
            self.emit({"event": "checkpoint", "step": step})
            self._saved = time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        if "loss" not in logs:
            return
        step = self.progress.step
        if not math.isfinite(logs["loss"]):
            raise RagkitError(f"the loss became {logs['loss']} before step {step}: lower the learning rate")
        self.emit(
            {"event": "step", "step": step, "total": self._total, "learning_rate": logs["learning_rate"]}
            | {"seconds": round(self.progress.seconds, 1), "loss": round(logs["loss"], 5)}
            | {"gradient_norm": round(logs["grad_norm"], 5)}
        )

    def _scored(self) -> dict[str, float]:
        training = self._model.training
        self._model.eval()
        with torch.no_grad():
            scores = self._validate()
        self._model.train(training)
        if scores:
            self.emit({"event": "validate", "step": self.progress.step} | scores)
        return scores
