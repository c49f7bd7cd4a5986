"""Engines measured on a sample: recall that brute force confirms, times and bytes of the engine itself."""

from fractions import Fraction

import faiss
import numpy as np
import pytest

from ragkit.index.faiss_index import FaissIndex
from ragkit.index.planning.candidates import Candidate
from ragkit.index.planning.measure import Nearest, build, measure, one_thread, size_of
from ragkit.index.recipe import Choice
from ragkit.index.vector_index import brute_force

RNG = np.random.default_rng(0)
VECTORS = RNG.standard_normal((2000, 16), dtype=np.float32)
QUESTIONS = RNG.standard_normal((40, 16), dtype=np.float32)
ROWS = np.arange(2000)
BLOCKS = [(ROWS[at : at + 300], VECTORS[at : at + 300]) for at in range(0, 2000, 300)]


def test_recall_is_the_share_of_the_true_ten() -> None:
    choice = Candidate("ivf-sq8", share=Fraction(1, 4)).choice(2000, 16)
    (one,) = measure([Candidate("ivf-sq8", share=Fraction(1, 4))], VECTORS, QUESTIONS)
    engine, _ = build(choice, 2000, 16, VECTORS.__getitem__)
    exact = brute_force(VECTORS, ROWS, QUESTIONS, 10)[1]
    with one_thread():
        found = engine.search(QUESTIONS, 10)[1]
    expected = [len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), exact.tolist(), strict=True)]
    np.testing.assert_allclose(one.recalls, expected)
    assert 0.3 < np.mean(expected) < 1 and one.size == size_of(engine)
    assert 0 < one.p50 <= one.p95 and one.build > 0


def test_more_lists_find_more() -> None:
    tried = [Candidate("ivf-fp16", share=Fraction(1, parts)) for parts in (32, 4, 2)]
    few, some, most = (one.recalls.mean() for one in measure(tried, VECTORS, QUESTIONS))
    assert few < some < most


def test_exact_search_finds_all() -> None:
    (one,) = measure([Candidate("flat")], VECTORS, QUESTIONS)
    assert (one.recalls == 1).all() and one.size == pytest.approx(2000 * (16 * 4 + 8), rel=0.01)


def test_twins_of_a_neighbour_are_as_good() -> None:
    """Passages that are there twice: whichever of them is found is right."""
    twice = np.concatenate([VECTORS[:50], VECTORS[:50]])
    nearest = Nearest(QUESTIONS, [(np.arange(100), twice)])
    found = brute_force(VECTORS[:50], np.arange(50), QUESTIONS, 5)[1]
    first, second, mixed = (
        np.hstack([found, found]),
        np.hstack([found + 50] * 2),
        np.hstack([found, found + 50]),
    )
    for rows in (first, second, mixed):
        assert (nearest.recalls(rows, twice.__getitem__) == 1).all()
    missing = mixed.copy()
    missing[:, 3:] = -1
    np.testing.assert_allclose(nearest.recalls(missing, twice.__getitem__), 0.3)


def test_a_passage_that_asks_for_itself_has_proved_nothing() -> None:
    own = np.arange(0, 2000, 50)
    nearest = Nearest(VECTORS[own], BLOCKS, own)
    scores = VECTORS[own] @ VECTORS.T
    scores[np.arange(len(own)), own] = -np.inf
    others = np.argsort(-scores, axis=1)[:, :10]
    assert (nearest.recalls(others, VECTORS.__getitem__) == 1).all()
    eleventh = others.copy()
    eleventh[:, 0] = np.argsort(-scores, axis=1)[:, 10]
    np.testing.assert_allclose(nearest.recalls(eleventh, VECTORS.__getitem__), 0.9)


def test_threads_are_as_before() -> None:
    before = faiss.omp_get_max_threads()
    with pytest.raises(ZeroDivisionError), one_thread():
        assert faiss.omp_get_max_threads() == 1
        raise ZeroDivisionError
    assert faiss.omp_get_max_threads() == before


def test_an_engine_is_built_of_all_rows() -> None:
    engine, _ = build(Choice("IVF8,Flat", {"nprobe": 8}), 2000, 16, VECTORS.__getitem__)
    assert isinstance(engine, FaissIndex) and len(engine) == 2000
    np.testing.assert_array_equal(
        engine.search(QUESTIONS, 10)[1], brute_force(VECTORS, ROWS, QUESTIONS, 10)[1]
    )
