"""Engines built on a sample of vectors and searched: how near to exact, how fast, how large."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import faiss
import numpy as np
import numpy.typing as npt

from ragkit.index.exact import best_products
from ragkit.index.faiss_index import FaissIndex, added_at_once, training_rows
from ragkit.index.planning.candidates import Candidate
from ragkit.index.recipe import Choice
from ragkit.index.vector_index import Ids

K = 10
"""Recall is of the ten nearest."""
BLOCK = 8192
AS_HIGH = 1e-5
"""Relative difference below which two inner products are one: passages that are there twice are as good."""

Vectors = npt.NDArray[np.float32]
Fetch = Callable[[Ids], Vectors]
"""Rows, (n,), to their vectors, (n, d)."""


@dataclass(frozen=True)
class Measured:
    """One candidate at one size."""

    candidate: Candidate
    passages: int
    recalls: npt.NDArray[np.float64]
    """Recall@10 of each question, (q,)."""
    p50: float
    p95: float
    """Seconds of the processor's time that a single search takes on one thread."""
    size: int
    """Bytes of the engine, its ids included."""
    build: float
    """Seconds."""


def measure(candidates: list[Candidate], vectors: Vectors, questions: Vectors) -> Iterator[Measured]:
    """All of one recipe: the engine is built once, then searched with the parameters of each."""
    passages, dimension = vectors.shape
    nearest = Nearest(questions, _blocks(vectors))
    engine, seconds = build(
        candidates[0].choice(passages, dimension), passages, dimension, vectors.__getitem__
    )
    size = size_of(engine)
    for candidate in candidates:
        engine.set_search(candidate.choice(passages, dimension).search)
        found, spent = timed_searches(engine, questions)
        p50, p95 = np.quantile(spent, (0.5, 0.95))
        recalls = nearest.recalls(found, vectors.__getitem__)
        yield Measured(candidate, passages, recalls, float(p50), float(p95), size, seconds)


def build(choice: Choice, passages: int, dimension: int, fetch: Fetch) -> tuple[FaissIndex, float]:
    """An engine of rows 0 to `passages`, trained on a sample as an index's is, and the seconds it took."""
    begin = time.perf_counter()
    engine = FaissIndex(dimension, choice.factory, choice.search)
    if not engine.is_trained:
        sample = np.random.default_rng(0).permutation(passages)[: training_rows(choice.factory)]
        engine.train(fetch(np.sort(sample)))
    step = added_at_once(choice.factory, dimension) or passages
    for at in range(0, passages, step):
        rows = np.arange(at, min(at + step, passages), dtype=np.int64)
        engine.add(fetch(rows), rows)
    return engine, time.perf_counter() - begin


def timed_searches(engine: FaissIndex, questions: Vectors) -> tuple[Ids, list[float]]:
    """The rows found for each question, (q, K), and the processor's seconds that each search took.

    Questions come one by one, on one thread. Its own time, unlike the clock's, is not the other programs'.
    """
    found, spent = [], []
    with one_thread():
        engine.search(questions[:1], K)
        for question in questions:
            begin = time.thread_time()
            _, rows = engine.search(question[None], K)
            spent.append(time.thread_time() - begin)
            found.append(rows[0])
    return np.array(found), spent


class Nearest:
    """The exact nearest neighbours of questions, and how many of them were found."""

    def __init__(self, questions: Vectors, blocks: Iterable[tuple[Ids, Vectors]], own: Ids | None = None):
        """`blocks`: rows, ascending, and their vectors, a few thousand at a time. `own`: the row of each
        question where it is a passage's vector itself; it does not count as a neighbour."""
        self._questions = questions
        scores, rows = best_products(questions, blocks, K if own is None else K + 1)
        self._kth = scores[:, K - 1] if own is None else _without(scores, rows, own)[:, K - 1]

    def recalls(self, found: Ids, fetch: Fetch) -> npt.NDArray[np.float64]:
        """(q,), from (q, K) rows that a search returned; -1 is none. A row counts whose vector is as near as
        the tenth nearest."""
        vectors = fetch(np.maximum(found, 0).ravel()).reshape(*found.shape, -1)
        scores = np.einsum("qkd,qd->qk", vectors, self._questions)
        least = self._kth - AS_HIGH * np.abs(self._kth)
        return np.asarray(((scores >= least[:, None]) & (found >= 0)).mean(axis=1))


@contextmanager
def one_thread() -> Iterator[None]:
    """FAISS's threads, for as long as it lasts."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def size_of(engine: FaissIndex) -> int:
    """Bytes of the file that it is saved as: what it takes up in memory."""
    with TemporaryDirectory() as folder:
        engine.save(Path(folder) / "engine")
        return (Path(folder) / "engine").stat().st_size


def _blocks(vectors: Vectors) -> Iterator[tuple[Ids, Vectors]]:
    for at in range(0, len(vectors), BLOCK):
        part = vectors[at : at + BLOCK]
        yield np.arange(at, at + len(part)), part


def _without(scores: npt.NDArray[np.float32], rows: Ids, own: Ids) -> npt.NDArray[np.float32]:
    """Without each question's own row where it is among them, else without the last: one column fewer."""
    out = rows == own[:, None]
    out[~out.any(axis=1), -1] = True
    return scores[~out].reshape(len(scores), -1)
