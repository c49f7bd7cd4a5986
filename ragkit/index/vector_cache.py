"""Vectors by the text that they came from, so that nothing is encoded twice.

One file an encoder, `cache/FINGERPRINT.arrows`: an Arrow stream that only grows. Each batch carries its
checksum and is synced before the next one is encoded; what a crash leaves half-written at the end is cut
off when the file is opened for writing again.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ragkit.errors import RagkitError
from ragkit.index.generations import sync

KEY_BYTES = 16
NAME = 32
"""Characters of an encoder's fingerprint that name its file."""
ROWS_COPIED = 4096


def as_keys(digests: npt.NDArray[np.uint8]) -> pa.FixedSizeBinaryArray:
    """(n, 16) bytes as n Arrow keys, without a copy."""
    buffer = pa.py_buffer(np.ascontiguousarray(digests))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(KEY_BYTES), len(digests), [None, buffer])


class VectorCache:
    """The vectors of one encoder, memory-mapped. For the holder of the writer's lock only."""

    def __init__(self, folder: Path, fingerprint: str, dimension: int):
        """Opens the file, or makes it. Raises RagkitError where it cannot be written."""
        self.path = folder / f"{fingerprint[:NAME]}.arrows"
        self.dimension = dimension
        self._schema = pa.schema(
            [
                ("key", pa.binary(KEY_BYTES)),
                ("vector", pa.list_(pa.float32(), dimension)),
                ("checksum", pa.uint32()),
            ],
            metadata={"encoder": fingerprint},
        )
        folder.mkdir(parents=True, exist_ok=True)
        self._keys: list[pa.Array] = []
        self._vectors: list[npt.NDArray[np.float32]] = []
        self._end = 0
        self._read_on()

    def __len__(self) -> int:
        return sum(map(len, self._vectors))

    def positions(self, keys: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int64]:
        """Where each key's vector is, (n,); -1 where it is not there."""
        known = pa.chunked_array(self._keys, type=pa.binary(KEY_BYTES))
        found = pc.fill_null(pc.index_in(keys, value_set=known), -1)
        return np.asarray(found.to_numpy()).astype(np.int64)

    def vectors(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """(n, dimension), in the order asked for."""
        out = np.empty((len(positions), self.dimension), dtype=np.float32)
        starts = np.cumsum([0, *map(len, self._vectors)])
        batches = np.searchsorted(starts, positions, side="right") - 1
        order = np.argsort(batches, kind="stable")
        used, first = np.unique(batches[order], return_index=True)
        for batch, at in zip(used, np.split(order, first)[1:], strict=True):
            out[at] = self._vectors[batch][positions[at] - starts[batch]]
        return out

    def append(self, keys: pa.Array, vectors: npt.NDArray[np.float32]) -> None:
        """Adds one batch and waits until it is on the disk. `refresh` makes it readable."""
        with self.path.open("ab") as file:
            file.write(self._message(keys, vectors))
            file.flush()
            sync(self.path)

    def refresh(self) -> None:
        """Reads what was appended."""
        self._read_on()

    def keep_only(self, keys: pa.Array | pa.ChunkedArray) -> None:
        """Rewrites the file with the vectors of `keys` alone, in their order."""
        positions = self.positions(pc.unique(keys))
        positions = positions[positions >= 0]
        known = pa.chunked_array(self._keys, type=pa.binary(KEY_BYTES)).combine_chunks()
        temporary = self.path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            file.write(self._schema.serialize())
            for at in range(0, len(positions), ROWS_COPIED):
                part = positions[at : at + ROWS_COPIED]
                file.write(self._message(known.take(pa.array(part)), self.vectors(part)))
        sync(temporary)
        temporary.replace(self.path)
        sync(self.path.parent)
        self._keys, self._vectors, self._end = [], [], 0
        self._read_on()

    def _message(self, keys: pa.Array, vectors: npt.NDArray[np.float32]) -> pa.Buffer:
        if vectors.shape != (len(keys), self.dimension) or not np.isfinite(vectors).all():
            raise RagkitError(
                f"the encoder returned vectors of shape {vectors.shape}, or not finite ones; "
                f"expected finite ones of shape {(len(keys), self.dimension)}: the model is broken"
            )
        values = np.ascontiguousarray(vectors, dtype=np.float32)
        checksum = pa.array(np.full(len(keys), _checksum(keys, values), dtype=np.uint32))
        column = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), self.dimension)
        return pa.record_batch([keys, column, checksum], schema=self._schema).serialize()

    def _read_on(self) -> None:
        """Takes in all whole batches from `_end` on; cuts off what follows them."""
        if not self.path.exists() or not self.path.stat().st_size:
            self.path.write_bytes(self._schema.serialize())
        with pa.memory_map(str(self.path)) as source:
            for keys, vectors, end in self._batches(source):
                if len(keys):
                    self._keys.append(keys)
                    self._vectors.append(vectors)
                self._end = end
            size = source.size()
        if self._end < size:
            with self.path.open("r+b") as file:
                file.truncate(self._end)
                if not self._end:
                    file.write(self._schema.serialize())
            sync(self.path)
            self._end = self.path.stat().st_size

    def _batches(self, source: Any) -> Iterator[tuple[pa.Array, npt.NDArray[np.float32], int]]:
        """Keys, vectors and the offset after each intact message, the schema first (without rows)."""
        source.seek(self._end)
        try:
            if not self._end:
                if not pa.ipc.read_schema(pa.ipc.read_message(source)).equals(
                    self._schema, check_metadata=True
                ):
                    return
                yield (
                    as_keys(np.empty((0, KEY_BYTES), dtype=np.uint8)),
                    np.empty((0, 0), np.float32),
                    source.tell(),
                )
            while True:
                batch = pa.ipc.read_record_batch(pa.ipc.read_message(source), self._schema)
                batch.validate(full=True)
                keys = batch.column("key")
                vectors = batch.column("vector").flatten().to_numpy().reshape(-1, self.dimension)
                if not (batch.column("checksum").to_numpy() == _checksum(keys, vectors)).all():
                    return
                yield keys, vectors, source.tell()
        except (EOFError, pa.ArrowException, OSError, ValueError):
            return


def clean_cache(folder: Path, fingerprint: str, dimension: int, keys: pa.Array | pa.ChunkedArray) -> None:
    """Keeps of all caches in `folder` only this encoder's, and of it only the vectors of `keys`."""
    cache = VectorCache(folder, fingerprint, dimension)
    cache.keep_only(keys)
    for path in folder.iterdir():
        if path != cache.path:
            path.unlink()


def known_fingerprints(folder: Path) -> set[str]:
    """The first `NAME` characters of those encoders' whose vectors are in `folder`, if there is one."""
    return {path.stem for path in folder.glob("*.arrows")}


def _checksum(keys: pa.Array, vectors: npt.NDArray[np.float32]) -> int:
    start = keys.offset * KEY_BYTES
    content = keys.buffers()[1][start : start + len(keys) * KEY_BYTES]
    return zlib.crc32(vectors.tobytes(), zlib.crc32(content))
