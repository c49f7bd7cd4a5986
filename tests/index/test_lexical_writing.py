"""BM25 written chunk by chunk against bm25s, which takes all at once."""

from pathlib import Path

import bm25s
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.index import lexical_writing
from ragkit.index.lexical_writing import tokenize, write_lexical

WORDS = ["cat", "cats", "dog", "running", "runs", "the", "of", "x", "Ünder", "straße", "", "stock-market"]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join), max_size=25)


def _columns(model: bm25s.BM25) -> dict[str, dict[int, float]]:
    """Scores by term and text."""
    data, indices, ends = (model.scores[name] for name in ("data", "indices", "indptr"))
    return {
        term: dict(zip(indices[ends[i] : ends[i + 1]].tolist(), data[ends[i] : ends[i + 1]], strict=True))
        for term, i in model.vocab_dict.items()
        if term
    }


@given(texts=TEXTS, chunk=st.integers(1, 30), characters=st.integers(1, 200))
@settings(max_examples=60, deadline=None)
def test_chunks_of_any_size_give_the_scores_of_bm25s(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], chunk: int, characters: int
) -> None:
    folder = tmp_path_factory.mktemp("chunks") / "bm25"
    patch = pytest.MonkeyPatch()
    patch.setattr(lexical_writing, "CHUNK_TEXTS", chunk)
    patch.setattr(lexical_writing, "CHUNK_CHARACTERS", characters)
    try:
        write_lexical(iter(texts), folder)
    finally:
        patch.undo()
    assert [path.name for path in folder.parent.iterdir()] == ["bm25"], "temporary files are gone"
    tokens = tokenize(texts)
    if not tokens.vocab:
        assert not any(folder.iterdir())
        return
    expected = bm25s.BM25()
    expected.index(tokens, show_progress=False)
    ours, theirs = _columns(bm25s.BM25.load(folder, mmap=True)), _columns(expected)
    assert ours.keys() == theirs.keys()
    for term, column in theirs.items():
        assert list(ours[term]) == sorted(column), "texts ascend within a term"
        np.testing.assert_allclose([ours[term][text] for text in column], list(column.values()), rtol=1e-6)


def test_the_same_texts_give_the_same_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_lexical(["a cat sat", "on the mat", "with other cats"], tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
