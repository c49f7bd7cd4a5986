"""BM25 as bm25s has it, with exact filters."""

from pathlib import Path

import bm25s
import numpy as np
import pytest
import Stemmer
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ragkit.index.lexical import LexicalIndex, top
from ragkit.index.lexical_writing import write_lexical

TEXTS = [
    "cats are running after cats",
    "a dog runs",
    "the cat sat on the mat",
    "stocks fell",
    "",
    "running dogs and sitting cats",
] * 5
ROWS = np.arange(100, 100 + 3 * len(TEXTS), 3)
QUESTIONS = ["Do cats run?", "dogs", "the", "", "unknownword", "cat " * 2000]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> LexicalIndex:
    folder = tmp_path_factory.mktemp("lexical") / "bm25"
    write_lexical(iter(TEXTS), folder)
    return LexicalIndex(folder, ROWS)


def test_scores_are_those_of_bm25s(index: LexicalIndex) -> None:
    stemmer = Stemmer.Stemmer("english")
    model = bm25s.BM25()
    model.index(
        bm25s.tokenize(TEXTS, stopwords="en", stemmer=stemmer, show_progress=False), show_progress=False
    )
    for question in ("Do cats run?", "dogs"):
        tokens = bm25s.tokenize([question], stopwords="en", stemmer=stemmer, show_progress=False)
        _, expected = model.retrieve(tokens, k=12, show_progress=False)
        scores, rows = index.search([question], 12)
        np.testing.assert_allclose(scores, expected, rtol=1e-6)
        assert (np.diff(rows[0][scores[0] == scores[0, 0]]) > 0).all()  # ties: the lower row first


def test_filters_come_before_the_best_are_taken(index: LexicalIndex) -> None:
    allowed = ROWS[[1, 3, 4, 7]]
    scores, rows = index.search(QUESTIONS, 6, allowed)
    assert rows.shape == (len(QUESTIONS), 6)
    assert (np.sort(rows[:, :4], axis=1) == allowed).all()
    assert (rows[:, 4:] == -1).all() and np.isneginf(scores[:, 4:]).all()
    assert rows[1, :2].tolist() == [ROWS[1], ROWS[7]]
    assert (scores[2:5, :4] == 0).all()
    assert (index.search(["cats"], 3, np.empty(0, dtype=np.int64))[1] == -1).all()
    assert index.search([], 3)[0].shape == (0, 3)


@pytest.mark.parametrize("texts", [[], [""], ["the and of"]])
def test_texts_without_a_word(tmp_path: Path, texts: list[str]) -> None:
    write_lexical(texts, tmp_path / "none")
    scores, rows = LexicalIndex(tmp_path / "none", np.arange(len(texts))).search(["cats"], 2)
    assert (rows[0, : len(texts)] == np.arange(len(texts))).all() and (rows[0, len(texts) :] == -1).all()
    assert (scores[rows >= 0] == 0).all()


@given(
    arrays.arrays(np.float32, st.integers(1, 30), elements=st.sampled_from([0.0, 1.0, 2.5, -1.0])),
    st.integers(1, 40),
)
def test_top_is_a_stable_sort(scores: np.ndarray, k: int) -> None:
    np.testing.assert_array_equal(top(scores, k), np.argsort(-scores, kind="stable")[:k])
