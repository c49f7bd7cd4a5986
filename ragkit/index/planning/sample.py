"""A sample of an index's vectors on which engines miss what they would miss on all.

An engine misses a neighbour because of vectors that are nearly as near. A random sample thins them out, and
every engine that compresses looks better on it than it is. Here the nearest vectors of each question are all
in the sample, beside random others, and the ten that a search should find are those of the whole index.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ragkit.index.exact import best_products
from ragkit.index.faiss_index import TRAINING_ROWS
from ragkit.index.vector_index import Ids

K = 10
"""Recall is of the ten nearest."""
NEAR = 150
"""Vectors a question, the nearest ones, that are all in a sample."""
BLOCK = 8192
AS_HIGH = 1e-5
"""Relative difference below which two inner products are one: passages that are there twice are as good."""

Vectors = npt.NDArray[np.float32]
Fetch = Callable[[Ids], Vectors]
"""Rows, (n,), to their vectors, (n, d)."""


@dataclass(frozen=True)
class Nearest:
    """How many of the exact nearest neighbours of questions a search found."""

    questions: Vectors
    """(q, d)."""
    tenth: npt.NDArray[np.float32]
    """The score of the tenth nearest, (q,)."""

    @classmethod
    def among(cls, questions: Vectors, fetch: Fetch, rows: Ids, own: Ids | None = None) -> "Nearest":
        """Those among `rows`, ascending. `own`: the row of each question where it is a passage's vector
        itself; it does not count as a neighbour."""
        scores, found = best_products(questions, _blocks(fetch, rows), K if own is None else K + 1)
        return cls(questions, (scores if own is None else _without(scores, found, own))[:, K - 1])

    def recalls(self, found: Ids, fetch: Fetch) -> npt.NDArray[np.float64]:
        """(q,), from (q, K) rows that a search returned; -1 is none. A row counts whose vector is as near as
        the tenth nearest."""
        vectors = fetch(np.maximum(found, 0).ravel()).reshape(*found.shape, -1)
        scores = np.einsum("qkd,qd->qk", vectors, self.questions)
        least = self.tenth - AS_HIGH * np.abs(self.tenth)
        return np.asarray(((scores >= least[:, None]) & (found >= 0)).mean(axis=1))


@dataclass(frozen=True)
class Sample:
    """Vectors to build engines on."""

    others: Vectors
    """Drawn at random, (n, d); all of them where `near` is empty."""
    near: Vectors
    """The neighbourhoods of the questions, (m, d)."""
    near_each: int
    """How many of them a question has."""
    training: Vectors
    """What engines are trained on, drawn at random."""
    passages: int
    """Vectors of the whole."""
    nearest: Nearest
    """Among the whole."""

    @property
    def whole(self) -> bool:
        """Whether nothing is left out."""
        return len(self.others) == self.passages

    def __len__(self) -> int:
        return len(self.others) + len(self.near)


def draw(fetch: Fetch, rows: Ids, questions: Vectors, most: int) -> Sample:
    """About `most` of the vectors of `rows`, ascending, or all where there are no more. The seed is fixed."""
    random = np.random.default_rng(0)
    training = fetch(np.sort(random.permutation(rows)[:TRAINING_ROWS]))
    if len(rows) <= most:
        others = np.ascontiguousarray(fetch(rows))
        nearest = Nearest.among(questions, others.__getitem__, np.arange(len(rows)))
        return Sample(others, others[:0], 0, training, len(rows), nearest)
    each = max(2 * K, min(NEAR, 2 * most // (3 * len(questions))))
    scores, found = best_products(questions, _blocks(fetch, rows), each)
    near = np.unique(found)
    rest = random.permutation(np.setdiff1d(rows, near))[: max(most - len(near), most // 4)]
    tenth = Nearest(questions, scores[:, K - 1])
    return Sample(fetch(rest), fetch(near), each, training, len(rows), tenth)


def _blocks(fetch: Fetch, rows: Ids) -> Iterator[tuple[Ids, Vectors]]:
    for at in range(0, len(rows), BLOCK):
        some = rows[at : at + BLOCK]
        yield some, fetch(some)


def _without(scores: npt.NDArray[np.float32], rows: Ids, own: Ids) -> npt.NDArray[np.float32]:
    """Without each question's own row where it is among them, else without the last: one column fewer."""
    out = rows == own[:, None]
    out[~out.any(axis=1), -1] = True
    return scores[~out].reshape(len(scores), -1)
