"""An index's exact vectors, and the same passages with another encoder's."""

from pathlib import Path

import numpy as np
import pytest
from hashing_encoder import HashingEncoder

from ragkit.corpus.document import Document
from ragkit.errors import RagkitError
from ragkit.index.reencoding import reencode
from ragkit.index.stored import StoredIndex


@pytest.fixture
def index(tmp_path: Path, hashing_encoder: HashingEncoder) -> StoredIndex:
    documents = [Document(f"d{i}", f"text {i} of {i % 7}", splittable=False) for i in range(40)]
    built = StoredIndex.build(documents, tmp_path / "index", encoder=hashing_encoder, factory="SQ4")
    built.delete(["d3", "d8"])
    return built


def rows(index: StoredIndex) -> np.ndarray:
    return np.unique([row for own in index.rows_by_id().values() for row in own])


def inputs(index: StoredIndex) -> list[tuple[str, str]]:
    return [(p.title, p.text) for p in index.passages(rows(index))]


def test_vectors_are_exact_where_the_engine_compresses(
    index: StoredIndex, hashing_encoder: HashingEncoder
) -> None:
    vectors = index.passage_vectors()(rows(index)[::-1])
    np.testing.assert_array_equal(vectors, hashing_encoder.encode_passages(inputs(index)[::-1]))


def test_a_cache_that_was_cleared_is_said(index: StoredIndex, tmp_path: Path) -> None:
    for path in (tmp_path / "index" / "cache").iterdir():
        path.unlink()
    with pytest.raises(RagkitError, match=r"lacks the vectors of 38 passages.*compact"):
        index.passage_vectors()
    index.compact()
    assert index.passage_vectors()(np.arange(38)).shape == (38, 32)


def test_the_same_passages_with_other_vectors(index: StoredIndex, tmp_path: Path) -> None:
    out = tmp_path / "other"
    for seed in ("b", "c"):
        reencode(index.path, out, HashingEncoder(seed))
        other = StoredIndex.open(out, HashingEncoder(seed))
        assert other.verify() == [] and len(other) == 38
        assert inputs(other) == inputs(index) and other.manifest.index == "SQ4"
        vectors = other.passage_vectors()(np.arange(38))
        np.testing.assert_array_equal(vectors, HashingEncoder(seed).encode_passages(inputs(other)))
    assert len(list((out / "cache").iterdir())) == 1
    with pytest.raises(RagkitError, match="wrong encoder"):
        StoredIndex.open(out, HashingEncoder("b"))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    with pytest.raises(RagkitError, match="something else"):
        reencode(index.path, tmp_path / "photos", HashingEncoder("b"))
