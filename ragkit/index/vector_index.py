"""What ragkit asks of a vector engine. FAISS is one implementation (`faiss_index.py`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]


class VectorIndex(Protocol):
    """Nearest neighbours by inner product over vectors with caller-given int64 ids."""

    def build(self, vectors: npt.NDArray[np.float32], ids: Ids) -> None:
        """Trains on the vectors where the engine needs it, then adds them. (n, d), (n,)."""
        ...

    def add(self, vectors: npt.NDArray[np.float32], ids: Ids) -> None: ...

    def remove(self, ids: Ids) -> int:
        """Removes what is there of `ids` and returns how many that were."""
        ...

    def search(
        self, vectors: npt.NDArray[np.float32], k: int, allowed: Ids | None = None
    ) -> tuple[Scores, Ids]:
        """The k best ids a query, best first: (q, k) scores and ids, padded with -inf and -1.

        With `allowed`, only those ids are considered, and min(k, len(allowed)) of them come back.
        """
        ...

    def save(self, path: Path) -> None: ...

    @classmethod
    def load(cls, path: Path) -> Self: ...

    def __len__(self) -> int: ...


def brute_force(
    passages: npt.NDArray[np.float32], ids: Ids, questions: npt.NDArray[np.float32], k: int
) -> tuple[Scores, Ids]:
    """Exact search in numpy: the reference that every engine is measured against. Ties go to the lower id."""
    scores = questions @ passages.T
    order = np.lexsort((np.broadcast_to(ids, scores.shape), -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), ids[order]


__all__: Sequence[str] = ("Ids", "Scores", "VectorIndex", "brute_force")
