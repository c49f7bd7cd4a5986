"""Rows of a memory-mapped Arrow file, read straight from its buffers.

Arrow's own way to Python objects takes ten times as long for a handful of rows, and its `to_numpy` imports
pandas wherever it is installed, which is 0.3 s at the start of every search.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ragkit.errors import RagkitError
from ragkit.index.vector_index import Ids


class Table:
    """The rows of one file, counted from 0. Columns are whole numbers or strings, without nulls."""

    def __init__(self, path: Path):
        """Raises RagkitError where the file is damaged."""
        try:
            reader = pa.ipc.open_file(pa.memory_map(str(path)))
            self.batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        except (pa.ArrowException, OSError) as error:
            raise RagkitError(f"{path} is damaged ({error}): build the index again") from error
        self.schema = reader.schema
        self._starts = np.cumsum([0, *(batch.num_rows for batch in self.batches)])
        self._readers: dict[str, list[Callable[[int], Any]]] = {}

    def __len__(self) -> int:
        return int(self._starts[-1])

    def row(self, row: int, *columns: str) -> list[Any]:
        """The values of the columns named, and of no other: a document's text may be large."""
        return [values[0] for values in self.take(np.array([row]), *columns)]

    def take(self, rows: Ids, *columns: str) -> list[list[Any]]:
        """The values of the columns named, one list a column, in the order of `rows`."""
        batches = np.searchsorted(self._starts, rows, side="right") - 1
        places = list(zip(batches.tolist(), (rows - self._starts[batches]).tolist(), strict=True))
        return [[read[batch](at) for batch, at in places] for read in map(self._read, columns)]

    def _read(self, name: str) -> list[Callable[[int], Any]]:
        """What reads a column at an offset, one a batch."""
        if name not in self._readers:
            columns = [batch.column(name) for batch in self.batches]
            self._readers[name] = [
                _strings(column) if pa.types.is_string(column.type) else int64(column).item
                for column in columns
            ]
        return self._readers[name]

    def numbers(self, name: str) -> npt.NDArray[np.int64]:
        """A whole column of whole numbers."""
        parts = [int64(batch.column(name)) for batch in self.batches]
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)

    def column(self, name: str) -> pa.ChunkedArray:
        index = self.schema.get_field_index(name)
        return pa.chunked_array([b.column(index) for b in self.batches], type=self.schema.field(name).type)


def _strings(column: pa.Array) -> Callable[[int], str]:
    _, ends, content = column.buffers()
    bounds = memoryview(ends or b"").cast("i")[column.offset :]
    text = memoryview(content or b"")
    return lambda at: str(text[bounds[at] : bounds[at + 1]], "utf-8")


def int64(column: pa.Array) -> npt.NDArray[np.int64]:
    """A column of whole numbers, without a copy."""
    end = column.offset + len(column)
    return np.frombuffer(column.buffers()[1] or b"", dtype=np.int64)[column.offset : end]
