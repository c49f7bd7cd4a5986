"""Batches of two views a passage, drawn anew in every epoch."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ragkit.corpus.document import Passage
from ragkit.errors import RagkitError
from ragkit.training.adaptation.passages import overlapping
from ragkit.training.adaptation.views import Method, Views, views
from ragkit.training.retrieval.data import Row, fill_batches
from ragkit.training.retrieval.losses import columns
from ragkit.training.retrieval.plan import FREE, DualEncoderSettings, Epochs


class ViewLessons:
    """The lessons of a method: every passage once an epoch, batches of `settings.batch`.

    No two passages of a batch overlap or are the same, so that other passages are sound negatives.
    `settings.max_steps` and `settings.epochs` both bound the steps. `whole` as in `views`.

    Raises:
        RagkitError: if no two passages are long enough to give views.
    """

    def __init__(
        self, passages: Sequence[Passage], method: Method, settings: DualEncoderSettings, whole: bool
    ) -> None:
        self._method, self._settings, self._whole = method, settings, whole
        # Which passages give views is the same in all epochs: it does not hang on what is drawn.
        self._passages = [passage for passage in passages if self._views(passage, (0,)) is not None]
        self._overlapping = overlapping(self._passages)
        self._batches = Epochs(self._plan)
        self.per_epoch = self._batches.per_epoch
        if not self.per_epoch:
            raise RagkitError(
                f"{len(passages):,} passages to adapt to, of which {len(self._passages):,} are long enough "
                f"for {method}: it takes two at least that do not overlap"
            )
        self.total = math.ceil(settings.epochs * self.per_epoch)
        if settings.max_steps is not None:
            self.total = min(self.total, settings.max_steps)

    def __len__(self) -> int:
        """Passages."""
        return len(self._passages)

    def rows(self, number: int) -> list[dict[str, Any]]:
        drawn = [
            found
            for at in self._batches[number]
            if (found := self._views(self._passages[at], (number, at))) is not None
        ]
        if self._method == "tsdae":
            return [{"passage": noisy, "text": text} for noisy, text in drawn]
        return columns("nll", [(a,) for a, _ in drawn], [b for _, b in drawn], [()] * len(drawn))

    @property
    def fingerprint(self) -> str:
        fixed = {name: value for name, value in asdict(self._settings).items() if name not in FREE}
        digest = hashlib.sha256(json.dumps([self._method, self._whole, fixed]).encode())
        for passage in self._passages:
            digest.update(json.dumps([passage.id, passage.title, passage.text]).encode())
        return digest.hexdigest()[:16]

    def _views(self, passage: Passage, draw: tuple[int, ...]) -> Views | None:
        rng = np.random.default_rng((self._settings.seed, *draw))
        return views(self._method, passage.title, passage.text, rng, self._whole)

    def _plan(self, epoch: int) -> list[list[int]]:
        rng = np.random.default_rng((self._settings.seed, epoch))
        rows = [Row((), at, ()) for at in range(len(self._passages))]
        lengths = [len(passage.text) for passage in self._passages]
        batches = fill_batches(rows, self._overlapping, lengths, self._settings.batch, rng)
        return [[row.positive for row in batch] for batch in batches if len(batch) > 1]
