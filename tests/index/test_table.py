"""Rows of Arrow files, read from their buffers, against Arrow's own way."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.errors import RagkitError
from ragkit.index.table import Table

SCHEMA = pa.schema([("text", pa.string()), ("number", pa.int64())])


def _write(path: Path, batches: list[list[tuple[str, int]]]) -> Table:
    with path.open("wb") as file, pa.ipc.new_file(file, SCHEMA) as writer:
        for rows in batches:
            columns = zip(*rows, strict=True) if rows else ([], [])
            arrays = [pa.array(c, type=f.type) for c, f in zip(columns, SCHEMA, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=SCHEMA))
    return Table(path)


ROW = st.tuples(st.text(max_size=5), st.integers(-(2**63), 2**63 - 1))


@given(batches=st.lists(st.lists(ROW, max_size=4), max_size=4), data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_rows_in_any_order(tmp_path_factory: pytest.TempPathFactory, batches, data) -> None:
    table = _write(tmp_path_factory.mktemp("table") / "t.arrow", batches)
    rows = [row for batch in batches for row in batch]
    assert len(table) == len(rows)
    assert table.numbers("number").tolist() == [number for _, number in rows]
    assert table.column("text").to_pylist() == [text for text, _ in rows]
    wanted = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=8)) if rows else []
    numbers, texts = table.take(np.array(wanted, dtype=np.int64), "number", "text")
    assert list(zip(texts, numbers, strict=True)) == [rows[i] for i in wanted]
    assert [tuple(table.row(i, "text", "number")) for i in wanted] == [rows[i] for i in wanted]


def test_rows_that_were_filtered_out_of_others(tmp_path: Path) -> None:
    """Slices of a batch begin in the middle of its buffers."""
    batch = pa.record_batch([pa.array(["a", "bc", "d", "ef"]), pa.array([1, 2, 3, 4])], schema=SCHEMA)
    table = _write(tmp_path / "t.arrow", [])
    table.batches = [batch.slice(1, 3)]
    table._starts = np.array([0, 3])
    assert table.take(np.array([2, 0]), "text", "number") == [["ef", "bc"], [4, 2]]
    assert table.numbers("number").tolist() == [2, 3, 4]


def test_a_file_that_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "t.arrow").write_bytes(b"nothing of the kind")
    with pytest.raises(RagkitError, match=r"t\.arrow is damaged"):
        Table(tmp_path / "t.arrow")
