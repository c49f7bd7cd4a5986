"""Engines built on a sample of vectors and searched: how near to exact, how fast, how large."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import faiss
import numpy as np
import numpy.typing as npt

from ragkit.index.faiss_index import FaissIndex, added_at_once
from ragkit.index.planning.candidates import Candidate, lists_of
from ragkit.index.planning.sample import K, Nearest, Sample, Vectors
from ragkit.index.recipe import Choice
from ragkit.index.vector_index import Ids

PART = 4
"""Times are measured on all random vectors of a sample, and on a fourth of them."""


@dataclass(frozen=True)
class Measured:
    """One candidate, its engine filled to one size."""

    candidate: Candidate
    passages: int
    recalls: npt.NDArray[np.float64]
    """Recall@10 of each question, (q,): of the whole where the engine holds the sample, else of what it
    holds."""
    p50: float
    p95: float
    """Seconds of the processor's time that a single search takes on one thread."""
    scanned: float
    """Vectors of inverted lists that a search scores, on average. NaN where the lists that a search looked
    into held too few, so that it had to look into all."""
    size: int
    """Bytes of the engine, its ids included."""
    train: float
    """Seconds."""
    add: float
    """Seconds that it took to fill it."""


class Training:
    """Trains engines on one set of vectors. The centroids of inverted lists, which take longest, are found
    once for all engines that have as many."""

    def __init__(self, vectors: Vectors):
        self._vectors = vectors
        self._lists: dict[int, tuple[FaissIndex, float]] = {}

    def __len__(self) -> int:
        return len(self._vectors)

    def engine(self, choice: Choice) -> tuple[FaissIndex, float]:
        """An empty engine and the seconds that its training takes."""
        engine = FaissIndex(self._vectors.shape[1], choice.factory, choice.search)
        shared = 0.0
        if (lists := lists_of(choice.factory)) > 1:
            if lists not in self._lists:
                self._lists[lists] = self._trained(FaissIndex(self._vectors.shape[1], f"IVF{lists},Flat"))
            donor, shared = self._lists[lists]
            engine.take_centroids(donor)
        engine, seconds = self._trained(engine)
        return engine, shared + seconds

    def _trained(self, engine: FaissIndex) -> tuple[FaissIndex, float]:
        begin = time.perf_counter()
        engine.train(self._vectors)
        return engine, time.perf_counter() - begin


def measure(candidates: list[Candidate], sample: Sample, training: Training) -> Iterator[Measured]:
    """All of one recipe: its engine for the whole is filled with the sample and searched with the parameters
    of each.

    Where the sample is not the whole, it is filled with a part of the random vectors, then with all of them,
    then with the neighbourhoods too.
    """
    dimension = sample.others.shape[1]
    choices = [candidate.choice(sample.passages, dimension) for candidate in candidates]
    engine, train = training.engine(choices[0])
    questions, held, add = sample.nearest.questions, sample.others[:0], 0.0
    if sample.whole:
        fills = [sample.others]
    else:
        part = len(sample.others) // PART
        fills = [sample.others[:part], sample.others[part:], sample.near]
    for number, vectors in enumerate(fills):
        add += _fill(engine, choices[0].factory, vectors, len(held))
        held = np.concatenate([held, vectors])
        nearest = sample.nearest
        if number < len(fills) - 1:
            nearest = Nearest.among(questions, held.__getitem__, np.arange(len(held)))
        size = size_of(engine)
        for candidate, choice in zip(candidates, choices, strict=True):
            engine.set_search(choice.search)
            found, spent, scanned = timed_searches(engine, questions)
            p50, p95 = np.quantile(spent, (0.5, 0.95))
            recalls = nearest.recalls(found, held.__getitem__)
            yield Measured(
                candidate, len(held), recalls, float(p50), float(p95), scanned, size, train, add
            )  # fmt: skip


def timed_searches(engine: FaissIndex, questions: Vectors) -> tuple[Ids, list[float], float]:
    """The rows found for each question, (q, K), the processor's seconds that each search took, and how many
    vectors of inverted lists one scores (see `Measured`).

    Questions come one by one, on one thread. Its own time, unlike the clock's, is not the other programs'.
    """
    found, spent = [], []
    with one_thread():
        engine.search(questions[:1], K)
        faiss.cvar.indexIVF_stats.reset()
        for question in questions:
            begin = time.thread_time()
            _, rows = engine.search(question[None], K)
            spent.append(time.thread_time() - begin)
            found.append(rows[0])
        stats = faiss.cvar.indexIVF_stats
        scanned = stats.ndis / len(questions) if stats.nq <= len(questions) else math.nan
    return np.array(found), spent, scanned


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


def _fill(engine: FaissIndex, factory: str, vectors: Vectors, first: int) -> float:
    """The seconds that it takes to add the vectors as rows from `first` on."""
    begin = time.perf_counter()
    step = added_at_once(factory, vectors.shape[1]) or len(vectors)
    for at in range(0, len(vectors), step):
        some = vectors[at : at + step]
        engine.add(some, np.arange(first + at, first + at + len(some), dtype=np.int64))
    return time.perf_counter() - begin
