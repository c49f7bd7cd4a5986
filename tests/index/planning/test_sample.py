"""A sample that keeps the questions' neighbourhoods, and recall against the whole."""

import numpy as np
import pytest

from ragkit.index.planning.sample import K, Nearest, draw
from ragkit.index.vector_index import brute_force

RNG = np.random.default_rng(0)
VECTORS = RNG.standard_normal((20_000, 16), dtype=np.float32)
QUESTIONS = RNG.standard_normal((40, 16), dtype=np.float32)
ROWS = np.arange(len(VECTORS))
FETCH = VECTORS.__getitem__


def test_few_vectors_are_all_in_it() -> None:
    sample = draw(FETCH, ROWS[:1000:2], QUESTIONS, 500)
    assert sample.whole and len(sample) == sample.passages == 500 and not len(sample.near)
    np.testing.assert_array_equal(sample.others, VECTORS[:1000:2])
    assert len(sample.training) == 500
    exact = brute_force(VECTORS[:1000:2], np.arange(500), QUESTIONS, K)
    np.testing.assert_allclose(sample.nearest.tenth, exact[0][:, -1], rtol=1e-5)


@pytest.mark.parametrize("rows", [ROWS, ROWS[3:19_000]])
def test_every_neighbourhood_is_in_it_once(rows: np.ndarray) -> None:
    sample = draw(FETCH, rows, QUESTIONS, 4000)
    assert not sample.whole and sample.near_each == 66 and len(sample) == 4000
    scores, near = brute_force(VECTORS[rows], rows, QUESTIONS, 66)
    held = {vector.tobytes() for vector in np.concatenate([sample.near, sample.others])}
    assert {VECTORS[row].tobytes() for row in near.ravel()} <= held and len(held) == 4000
    np.testing.assert_allclose(sample.nearest.tenth, scores[:, K - 1], rtol=1e-5)


def test_the_others_are_drawn_from_everywhere() -> None:
    sample = draw(FETCH, ROWS, QUESTIONS, 4000)
    number = {vector.tobytes(): row for row, vector in enumerate(VECTORS)}
    drawn = np.sort([number[vector.tobytes()] for vector in sample.others])
    assert abs(drawn.mean() - 10_000) < 500 and drawn[0] < 100 and drawn[-1] > 19_900


def test_many_questions_leave_room_for_others() -> None:
    sample = draw(FETCH, ROWS, VECTORS[:600], 1000)
    assert sample.near_each == 2 * K and len(sample.others) == 250


def test_twins_of_a_neighbour_are_as_good() -> None:
    """Passages that are there twice: whichever of them is found is right."""
    twice = np.concatenate([VECTORS[:50], VECTORS[:50]])
    nearest = Nearest.among(QUESTIONS, twice.__getitem__, np.arange(100))
    found = brute_force(VECTORS[:50], np.arange(50), QUESTIONS, 5)[1]
    mixed = np.hstack([found, found + 50])
    for rows in (np.hstack([found, found]), np.hstack([found + 50] * 2), mixed):
        assert (nearest.recalls(rows, twice.__getitem__) == 1).all()
    mixed[:, 3:] = -1
    np.testing.assert_allclose(nearest.recalls(mixed, twice.__getitem__), 0.3)


def test_a_passage_that_asks_for_itself_has_proved_nothing() -> None:
    own = np.arange(0, 2000, 50)
    nearest = Nearest.among(VECTORS[own], FETCH, ROWS[:2000], own)
    scores = VECTORS[own] @ VECTORS[:2000].T
    scores[np.arange(len(own)), own] = -np.inf
    order = np.argsort(-scores, axis=1)
    others = order[:, :10].copy()
    assert (nearest.recalls(others, FETCH) == 1).all()
    others[:, 0] = order[:, 10]
    np.testing.assert_allclose(nearest.recalls(others, FETCH), 0.9)
