"""FAISS as a `VectorIndex`: any factory string, under caller-given ids, with exact filters and deletion.

The engine proper sits inside an `IDMap`. Its own positions count vectors in the order of their adding; the
id map translates. A removed vector leaves the engine where the engine can shift its codes (Flat, PQ, SQ,
RaBitQ); where it cannot (IVF, HNSW, ...) the id map says -1 at its position and no search ever returns it.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import faiss
import numpy as np
import numpy.typing as npt

from ragkit.errors import RagkitError
from ragkit.index.exact import best_products, padding
from ragkit.index.id_map import REMOVED, IdMap
from ragkit.index.inverted_lists import OutgrownLists, put_back
from ragkit.index.selecting import selecting, selector
from ragkit.index.vector_index import Ids, Scores

Vectors = npt.NDArray[np.float32]

SCORED_DIRECTLY = 10_000
"""Up to this many allowed vectors are all scored: exact, and faster than walking a graph past the others."""
BATCH = 16
"""So many questions and more are asked of a flat engine by matrix products, see `exact`."""
BLOCK = 8192
ADDED_BYTES = 1 << 24
TRAINING_ROWS = 65_536
TRAINING_ROWS_PER_LIST = 40


def needed_rows(factory: str) -> int:
    """The fewest vectors that k-means can train the engine on: one a centroid, where there are any."""
    lists = [int(n) for n in re.findall(r"IVF(\d+)", factory)]
    codes = [1 << int(bits or 8) for bits in re.findall(r"PQ\d+(?:x(\d+))?", factory)]
    return max([*lists, *codes, 0])


def added_at_once(factory: str, dimension: int) -> int | None:
    """How many vectors to add in one call: some megabytes of them; None, all, for graphs that are built
    once."""
    return None if "NSG" in factory else max(1, ADDED_BYTES // (4 * dimension))


def training_rows(factory: str) -> int:
    """How many vectors the engine's training can make use of: k-means wants 39 to 256 a list."""
    lists = [int(n) for n in re.findall(r"IVF(\d+)", factory)]
    return max(TRAINING_ROWS, TRAINING_ROWS_PER_LIST * max(lists, default=0))


class FaissIndex:
    """Maximum inner product search with FAISS (Douze et al., "The Faiss library", 2024)."""

    _index: Any
    """FAISS's `IndexIDMap`."""
    _engine: Any
    """What is in it."""
    _mapped_from: Path | None
    _outgrown: OutgrownLists
    _known: IdMap | None

    def __init__(self, dimension: int, factory: str, search: Mapping[str, int] | None = None):
        """`search`: FAISS parameters by name (`nprobe`, `efSearch`, `k_factor_rf`), kept in the saved file.

        Raises RagkitError where FAISS does not know the factory string or a parameter.
        """
        self.factory = factory
        try:
            engine = faiss.index_factory(
                dimension, re.sub(r"^IDMap2?,|,IDMap2?$", "", factory), faiss.METRIC_INNER_PRODUCT
            )
            _set_search(engine, search or {})
        except RuntimeError as error:
            settings = f" with {dict(search)}" if search else ""
            raise RagkitError(
                f"FAISS cannot make an index {factory!r}{settings} for inner products in {dimension} "
                f"dimensions: try auto, flat, hnsw, or a factory string such as "
                "IVF256,PQ48"
            ) from error
        self._own(faiss.IndexIDMap(engine), loaded_from=None)
        _tune_training(self._engine)

    def build(self, vectors: Vectors, ids: Ids) -> None:
        """Trains on the vectors where the engine needs it, then adds them. (n, d), (n,).

        Raises RagkitError where there are fewer vectors than the engine needs for its training.
        """
        self.train(vectors)
        self.add(vectors, ids)

    @property
    def is_trained(self) -> bool:
        """Whether vectors can be added: some engines learn centroids or ranges first."""
        return bool(self._index.is_trained)

    def train(self, vectors: Vectors) -> None:
        """On a sample, (n, d). Raises RagkitError where it is too small."""
        if len(vectors) and not self.is_trained:
            try:
                self._index.train(np.ascontiguousarray(vectors))
            except RuntimeError as error:
                raise RagkitError(
                    f"{len(vectors)} passages are too few to train a FAISS index {self.factory!r} "
                    f"({_reason(error)}): use auto or flat"
                ) from error

    def take_centroids(self, other: "FaissIndex") -> None:
        """Of the inverted lists of a trained engine, where both have as many of as many dimensions: `train`
        then looks for no others."""
        ours, theirs = (faiss.try_extract_index_ivf(index._engine) for index in (self, other))
        if ours is not None and theirs is not None and (ours.nlist, ours.d) == (theirs.nlist, theirs.d):
            ours.quantizer.add(theirs.quantizer.reconstruct_n(0, theirs.nlist))

    def spill_into(self, folder: Path) -> None:
        """From now on inverted lists that outgrow memory wait in files of `folder` until `save`; till then
        there is no searching."""
        self._outgrown.folder = folder

    def add(self, vectors: Vectors, ids: Ids) -> None:
        """(n, d), (n,). Ids must be new. Raises RagkitError where the engine takes no more vectors."""
        if not len(vectors):
            return
        if self._outgrown.take(self._engine):
            self._mapped_from = None
        else:
            self._unmap()
        try:
            self._index.add_with_ids(np.ascontiguousarray(vectors), ids)
        except RuntimeError as error:
            raise RagkitError(f"FAISS cannot add to an index {self.factory!r}: {_reason(error)}") from error
        self._known = None
        self._outgrown.take(self._engine)

    def remove(self, ids: Ids) -> int:
        """Removes what is there of `ids` and returns how many that were."""
        known = self._map.ids
        positions = self._map.positions(ids)
        if not len(positions):
            return 0
        if isinstance(self._engine, faiss.IndexFlatCodes):
            self._unmap()
            self._index.remove_ids(known[positions])
        else:
            left = known.copy()
            left[positions] = REMOVED
            faiss.copy_array_to_vector(left, self._index.id_map)
        self._known = None
        return len(positions)

    def search(self, vectors: Vectors, k: int, allowed: Ids | None = None) -> tuple[Scores, Ids]:
        """The k best ids a query, best first: (q, k) scores and ids, padded with -inf and -1.

        With `allowed`, only those ids are considered, and min(k, len(allowed)) of them come back, whatever
        the engine. Raises RagkitError where the vectors have another dimension than the index.
        """
        if self._outgrown:
            raise RagkitError("the index is being written: save it before it is searched")
        if vectors.shape[1] != self._index.d:
            raise RagkitError(f"vectors of {vectors.shape[1]} dimensions, but the index has {self._index.d}")
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        known, live = self._map.ids, self._map.live
        positions = live if allowed is None else self._map.positions(allowed)
        wanted = min(k, len(positions))
        if not wanted or not len(vectors):
            return padding(len(vectors), k)
        if len(positions) == len(known):
            found = self._search_engine(vectors, wanted, None)
        elif allowed is not None and len(positions) <= SCORED_DIRECTLY:
            found = self._search_all(vectors, wanted, positions)
        else:
            found = self._search_engine(vectors, wanted, positions)
        if found[1].min() < 0:  # a graph or too few lists did not lead to enough of them
            short = np.flatnonzero((found[1] < 0).any(axis=1))
            found[0][short], found[1][short] = self._search_all(vectors[short], wanted, positions)
        if wanted == k:
            return found[0], known[found[1]]
        scores, ids = padding(len(vectors), k)
        scores[:, :wanted], ids[:, :wanted] = found[0], known[found[1]]
        return scores, ids

    def set_search(self, search: Mapping[str, int]) -> None:
        """Other search parameters for the engine as it stands; those not named stay."""
        _set_search(self._engine, search)

    def save(self, path: Path) -> None:
        """Inverted lists that outgrew memory go to a file beside it. Raises OSError where it cannot be
        written."""
        try:
            with self._outgrown.saved(self._engine, path):
                faiss.write_index(self._index, str(path))
        except RuntimeError as error:
            raise OSError(f"{path}: {_reason(error)}") from error

    @classmethod
    def load(cls, path: Path) -> Self:
        """Memory-maps what FAISS can map. Raises RagkitError where FAISS cannot read the file."""
        index = cls.__new__(cls)
        index.factory = path.name
        index._own(_read(path, faiss.IO_FLAG_MMAP_IFC), loaded_from=path)
        return index

    @property
    def ids(self) -> Ids:
        """The ids that a search can return, in no order."""
        return self._map.ids[self._map.live]

    def __len__(self) -> int:
        return len(self._map.live)

    def _own(self, index: Any, loaded_from: Path | None) -> None:
        self._index = index
        self._mapped_from = loaded_from
        self._outgrown = OutgrownLists()
        self._engine = faiss.downcast_index(index.index)
        self._known = None

    @property
    def _map(self) -> IdMap:
        if self._known is None:
            self._known = IdMap(faiss.vector_to_array(self._index.id_map))
        return self._known

    def _unmap(self) -> None:
        """Reads a memory-mapped index into memory: only there can its vectors change."""
        if self._mapped_from is not None:
            known = self._map
            self._own(_read(self._mapped_from, 0), loaded_from=None)
            faiss.copy_array_to_vector(known.ids, self._index.id_map)

    def _search_engine(self, vectors: Vectors, k: int, positions: Ids | None) -> tuple[Scores, Ids]:
        """All -1 where the engine cannot select."""
        if positions is None and isinstance(self._engine, faiss.IndexFlat) and len(vectors) >= BATCH:
            return best_products(vectors, self._flat_blocks(), k)
        if positions is None:
            return self._engine.search(vectors, k)
        try:
            return self._engine.search(
                vectors, k, params=selecting(self._engine, selector(positions, len(self._map.ids)))
            )
        except RuntimeError:
            return padding(len(vectors), k)

    def _search_all(self, vectors: Vectors, k: int, positions: Ids) -> tuple[Scores, Ids]:
        """By scoring every one of `positions`."""
        ivf = faiss.try_extract_index_ivf(self._engine)
        if ivf is not None and not isinstance(self._engine, faiss.IndexRefine):
            parameters = selecting(self._engine, selector(positions, len(self._map.ids)), nprobe=ivf.nlist)
            return self._engine.search(vectors, k, params=parameters)
        chunks = (positions[at : at + BLOCK] for at in range(0, len(positions), BLOCK))
        return best_products(vectors, ((chunk, self._engine.reconstruct_batch(chunk)) for chunk in chunks), k)

    def _flat_blocks(self) -> Iterator[tuple[Ids, Vectors]]:
        """All that a flat engine holds, where it is."""
        count, dimension = self._engine.ntotal, self._engine.d
        stored = faiss.rev_swig_ptr(self._engine.get_xb(), count * dimension).reshape(count, dimension)
        for at in range(0, count, BLOCK):
            yield np.arange(at, min(at + BLOCK, count)), stored[at : at + BLOCK]


def _set_search(engine: Any, search: Mapping[str, int]) -> None:
    for name, value in search.items():
        faiss.ParameterSpace().set_index_parameter(engine, name, value)


def _tune_training(engine: Any) -> None:
    """Leaves out what only costs: an annealing of product quantiser codes for a kind of search that is not
    used here (polysemous; it takes 100 times as long as the training proper), and k-means's warnings."""
    part = faiss.downcast_index(engine)
    if hasattr(part, "do_polysemous_training"):
        part.do_polysemous_training = False
    for clustering in (getattr(part, "cp", None), getattr(getattr(part, "pq", None), "cp", None)):
        if clustering is not None:
            clustering.min_points_per_centroid = 1
    for inner in ("index", "base_index"):
        if hasattr(part, inner):
            _tune_training(getattr(part, inner))


def _read(path: Path, flags: int) -> Any:
    try:
        index = faiss.read_index(str(path), flags)
        if not isinstance(index, faiss.IndexIDMap):
            raise RuntimeError("no id map in it")
        put_back(index.index, path, in_memory=not flags)
    except RuntimeError as error:
        raise RagkitError(f"{path} is damaged ({_reason(error)}): build the index again") from error
    return index


def _reason(error: RuntimeError) -> str:
    """FAISS's message without the C++ signature before it."""
    return str(error).split("Error: ")[-1].replace("\n", " ").strip()
