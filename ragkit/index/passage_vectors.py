"""The vectors that an encoder gave the passages, exact whatever the engine keeps of them."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ragkit.errors import RagkitError
from ragkit.index.lock import writer_lock
from ragkit.index.manifest import Manifest
from ragkit.index.vector_cache import VectorCache
from ragkit.index.vector_index import Ids
from ragkit.index.writing import CACHE


class PassageVectors:
    """The vectors of one generation's passages by row, memory-mapped from the index's cache.

    An engine that compresses (PQ, SQ) could give approximate ones only.
    """

    def __init__(self, index: Path, manifest: Manifest, keys: pa.ChunkedArray, live_rows: Ids) -> None:
        """`keys`: of every row. Raises RagkitError where the cache lacks a passage, or while the index is
        written to."""
        passport = manifest.passport
        with writer_lock(index):
            self._cache = VectorCache(index / CACHE, passport.fingerprint, passport.dimension)
            self._positions = self._cache.positions(keys)
        if missing := int((self._positions[live_rows] < 0).sum()):
            raise RagkitError(
                f"the cache of the index {index} lacks the vectors of {missing:,} passages: "
                f"`ragkit index compact {index}` computes them"
            )

    def __call__(self, rows: Ids) -> npt.NDArray[np.float32]:
        """(n, dimension), in the order asked for."""
        return self._cache.vectors(self._positions[rows])
