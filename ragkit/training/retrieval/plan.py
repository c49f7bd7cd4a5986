"""What a dual encoder is trained with, and in which order."""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Generic, Literal, Protocol, TypeVar

import numpy as np

from ragkit.encoders.sentence import passage_text
from ragkit.errors import RagkitError
from ragkit.training.retrieval.data import Batch, RetrievalSet, plan_epoch
from ragkit.training.retrieval.losses import LossName, columns
from ragkit.training.retrieval.towers import TowersName


@dataclass(frozen=True, slots=True)
class DualEncoderSettings:
    """How a dual encoder is trained.

    The learning rate rises linearly over the first `warm_up` share of the steps and falls linearly to 0.
    A step shows `batch` passages, each with `group` questions that it answers and `negatives` hard
    negatives; `mini_batch` is how many texts are encoded at once, with cached gradients (None: all).
    `max_tokens` is where texts are cut in training. `keep` is the share of the starting weights in the
    result: w = keep * start + (1 - keep) * trained (Xiao et al. 2023, LM-Cocktail). `held_out` questions at
    most of each set, in articles never trained on, are asked of `pool` passages.
    """

    encoder: str = "packaged"
    towers: TowersName = "shared"
    loss: LossName = "nll"
    inner_product: bool = False
    scale: float | None = None
    margin: float | None = None
    batch: int = 64
    mini_batch: int | None = None
    group: int = 1
    negatives: int = 1
    max_tokens: int = 192
    learning_rate: float = 2e-5
    epochs: float = 1.0
    max_steps: int | None = None
    warm_up: float = 0.1
    weight_decay: float = 0.01
    keep: float = 0.0
    held_out: int = 400
    pool: int = 1000
    validate_every: int = 200
    log_every: int = 10
    checkpoint_minutes: float = 5.0
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    seed: int = 0


FREE = ("keep", "checkpoint_minutes", "log_every", "validate_every", "pool")
"""Settings that may change when a run goes on: they do not change what is trained."""


class Lessons(Protocol):
    """What a run trains on, step by step."""

    total: int
    """Steps."""

    @property
    def fingerprint(self) -> str:
        """Of what must be the same for a run to go on."""
        ...

    def rows(self, number: int) -> list[dict[str, Any]]:
        """The step's batch, in the columns that the loss takes. Numbers may only grow between calls."""
        ...


T = TypeVar("T")


class Epochs(Generic[T]):
    """What each epoch plans, by one number over all epochs; an epoch is planned when it is reached."""

    def __init__(self, plan: Callable[[int], Sequence[T]]) -> None:
        self._plan, self._epoch, self._begin = plan, 0, 0
        self._planned = plan(0)
        self.per_epoch = len(self._planned)

    def __getitem__(self, number: int) -> T:
        """Numbers may only grow from one call to the next."""
        while number >= self._begin + len(self._planned):
            self._begin += len(self._planned)
            self._epoch += 1
            self._planned = self._plan(self._epoch)
        return self._planned[number - self._begin]


class Batches:
    """The lessons of questions with their passages."""

    def __init__(self, sets: Sequence[RetrievalSet], settings: DualEncoderSettings) -> None:
        self._sets, self._settings = sets, settings
        self._batches = Epochs(self._plan)
        self.per_epoch = self._batches.per_epoch
        if not self.per_epoch:
            raise RagkitError("nothing to train on: every passage answers every question")
        self.total = settings.max_steps or math.ceil(self.per_epoch * settings.epochs)

    def rows(self, number: int) -> list[dict[str, Any]]:
        batch = self._batches[number]

        def text(at: int) -> str:
            return passage_text(*batch.data.passages[at])

        questions = [row.questions for row in batch.rows]
        positives = [text(row.positive) for row in batch.rows]
        negatives = [tuple(map(text, row.negatives)) for row in batch.rows]
        return columns(self._settings.loss, questions, positives, negatives)

    def passages(self) -> list[tuple[str, str]]:
        """(title, text) of all passages that may be shown."""
        return [passage for data in self._sets for passage in data.passages]

    @property
    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for data in self._sets:
            for title, text in data.passages:
                digest.update(f"{title}\n{text}\n".encode())
            for example in data.examples:
                digest.update(f"{example.question}\n{example.positives}{example.negatives}\n".encode())
        settings = {f.name: getattr(self._settings, f.name) for f in fields(self._settings)}
        fixed = {name: value for name, value in settings.items() if name not in FREE}
        digest.update(json.dumps(fixed, sort_keys=True).encode())
        return digest.hexdigest()[:16]

    def _plan(self, epoch: int) -> list[Batch]:
        s = self._settings
        rng = np.random.default_rng((s.seed, epoch))
        planned = [
            batch
            for data in self._sets
            for batch in plan_epoch(data, s.batch, s.negatives, rng, s.loss != "nll", s.group)
        ]
        return [planned[i] for i in rng.permutation(len(planned)).tolist()]
