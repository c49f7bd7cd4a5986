"""Filter expressions against Python's own evaluation of the same condition."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.corpus.document import Document, Passage
from ragkit.errors import RagkitError
from ragkit.index.filters import Filter, matching_rows
from ragkit.index.passages import DELETED, DOCUMENTS, PASSAGES, PassageStore, PassageWriter

VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["en", "de", "3", ""]), st.floats()
)
FIELDS = st.dictionaries(st.sampled_from(["lang", "year"]), VALUES)


parsed = cache(Filter)


def _same(value: Any, constant: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value == constant and (number if isinstance(constant, int) else isinstance(value, str))


def _at_least(value: Any, constant: int) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= constant


@given(metadata=FIELDS)
@settings(deadline=None)
@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ('lang == "en"', lambda m: _same(m.get("lang"), "en")),
        ('lang != "en"', lambda m: not _same(m.get("lang"), "en")),
        ("year >= 2", lambda m: _at_least(m.get("year"), 2)),
        ("not (year >= 2)", lambda m: not _at_least(m.get("year"), 2)),
        ('lang == "en" and year >= 2', lambda m: _same(m.get("lang"), "en") and _at_least(m.get("year"), 2)),
        ('year >= 2 or lang == "en"', lambda m: _same(m.get("lang"), "en") or _at_least(m.get("year"), 2)),
        ('lang in ["en", "de"]', lambda m: isinstance(m.get("lang"), str) and m["lang"] in ("en", "de")),
        ("absent == null", lambda m: True),
        ("absent > 3 or absent < 3 or absent.part.part == 1", lambda m: False),
    ],
)
def test_expressions(expression: str, holds: Any, metadata: dict[str, Any]) -> None:
    metadata = {name: value for name, value in metadata.items() if value == value}  # null for not-a-number
    assert parsed(expression).matches(metadata) == holds(metadata)


@pytest.mark.parametrize(
    "expression",
    ["", "lang =", 'lang = "en"', "(", "year >= ", "1 +* 2", 'lang =~ "("', "\n"],
)
def test_what_is_no_expression(expression: str) -> None:
    with pytest.raises(RagkitError, match="cannot understand the filter") as error:
        Filter(expression)
    assert "\n" not in str(error.value)


def test_rows_of_documents_that_pass(tmp_path: Path) -> None:
    writer = PassageWriter(tmp_path)
    for i in range(20):
        metadata = {"year": i, "tags": ["old", f"t{i}"], "author": {"name": f"n{i % 3}"}}
        document = Document(f"d{i}", "two parts", f"title {i}", metadata if i % 4 else {"year": float("nan")})
        parts = [Passage(f"d{i}#{a}", document.id, document.text[a:b], a, b) for a, b in ((0, 3), (4, 9))]
        writer.append(document, parts)
    writer.delete([5])
    writer.close()
    store = PassageStore(tmp_path / DOCUMENTS, tmp_path / PASSAGES, tmp_path / DELETED)

    def documents(expression: str) -> list[int]:
        rows = matching_rows(expression, store)
        assert (rows % 2 == [0, 1] * (len(rows) // 2)).all()
        return (rows[::2] // 2).tolist()

    assert documents("year < 7") == [1, 2, 3, 6]
    assert documents('"t6" in tags') == [6]
    assert documents('author["name"] == "n1" and year > 9') == [10, 13, 19]
    assert documents('id == "d8" or title == "title 9"') == [8, 9]
    assert documents("true") == [i for i in range(20) if i != 5]
