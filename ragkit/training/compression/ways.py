"""Ways to keep an index's vectors in fewer bytes, measured side by side on the same questions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import faiss
import numpy as np
import numpy.typing as npt

from ragkit.encoders.encoder import Vectors
from ragkit.evaluation.statistics import Comparison, Estimate, compare, estimate
from ragkit.index.faiss_index import FaissIndex
from ragkit.index.vector_index import Ids
from ragkit.training.compression.timing import medians

K = 10
TIMED = 200
"""Questions whose search is timed, one at a time, all ways in turn."""


@dataclass(frozen=True)
class Way:
    """A FAISS engine, and what is done to vectors before they come to it: the rows of `matrix` are the
    directions that are kept, at length one again where `cosine`."""

    name: str
    factory: str
    matrix: npt.NDArray[np.float32] | None = None
    cosine: bool = True

    def vectors(self, of: Vectors) -> Vectors:
        """(n, d) to (n, what the engine takes)."""
        return of if self.matrix is None else projected(of, self.matrix, self.cosine)


@dataclass(frozen=True)
class Measured:
    """What a way came to."""

    way: Way
    bytes_a_vector: int
    """Of the code; the engine's own tables are in `size`."""
    size: int
    """Bytes of the engine on disk."""
    recall: Estimate
    kept: float
    """Recall as a share of the exact engine's."""
    difference: Comparison
    """a: exact, b: this way."""
    p50: float
    """Seconds of a search."""
    recalls: npt.NDArray[np.float64]


def recalls_of(found: Sequence[Sequence[int]], wanted: Sequence[Sequence[int]]) -> npt.NDArray[np.float64]:
    """Question by question, the share of what is wanted that was found."""
    return np.array(
        [len(set(want).intersection(rows)) / len(want) for rows, want in zip(found, wanted, strict=True)]
    )


def projected(vectors: Vectors, matrix: npt.NDArray[np.float32], cosine: bool) -> Vectors:
    """(n, d) to (n, size)."""
    found = vectors @ matrix.T
    if cosine:
        found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    return np.ascontiguousarray(found, dtype=np.float32)


def usual_ways(dimension: int, size: int) -> list[Way]:
    """FAISS's engines that keep codes, and, at `size` bytes, those that are as small.

    `PCA` is FAISS's, which centres; where `size` is half of the dimension, 4 bits a number are as small.
    """
    codes = next(m for m in range(size, 0, -1) if dimension % m == 0)
    tenth = next(m for m in range(max(1, dimension // 8), 0, -1) if dimension % m == 0)
    return [
        Way("exact", "Flat"),
        Way("sq8", "SQ8"),
        Way("sq4", "SQ4"),
        Way(f"pq{codes}", f"PQ{codes}"),
        Way(f"pq{tenth}", f"PQ{tenth}"),
        Way("rabitq", "RaBitQ"),
        Way(f"pca{size} centred + sq8", f"PCA{size},SQ8"),
    ]


def measure(
    ways: Sequence[Way],
    passages: Vectors,
    questions: Vectors,
    relevant: Sequence[Sequence[int]] | None = None,
) -> list[Measured]:
    """Recall@10 of each way, the first of which is exact.

    Args:
        relevant: the positions of each question's relevant passages; None: its ten nearest vectors are.
    """
    ids: Ids = np.arange(len(passages))
    engines, asked = [], []
    for way in ways:
        vectors = way.vectors(passages)
        engine = FaissIndex(vectors.shape[1], way.factory)
        engine.build(vectors, ids)
        engines.append(engine)
        asked.append(way.vectors(questions))
    found = [engine.search(vectors, K)[1] for engine, vectors in zip(engines, asked, strict=True)]
    wanted = found[0].tolist() if relevant is None else relevant
    recalls = [recalls_of(rows.tolist(), wanted) for rows in found]
    searches = [
        lambda n, engine=engine, vectors=vectors: engine.search(vectors[n : n + 1], K)
        for engine, vectors in zip(engines, asked, strict=True)
    ]
    seconds = medians(searches, min(TIMED, len(questions)))
    return [
        Measured(
            way,
            faiss.index_factory(asked[i].shape[1], way.factory).sa_code_size(),
            _size(engines[i]),
            estimate(recalls[i]),
            float(recalls[i].mean() / max(recalls[0].mean(), 1e-12)),
            compare("recall@10", recalls[0], recalls[i]),
            seconds[i],
            recalls[i],
        )
        for i, way in enumerate(ways)
    ]


def _size(engine: FaissIndex) -> int:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "engine"
        engine.save(path)
        return path.stat().st_size
