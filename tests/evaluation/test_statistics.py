"""Intervals and randomisation tests: by hand, by enumeration, and against scipy."""

from itertools import product

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.errors import RagkitError
from ragkit.evaluation.statistics import RESAMPLES, compare, estimate

scores = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=8)


def test_small_samples_are_tested_exactly() -> None:
    # Differences 1, 1, 1, 0: of the 16 ways to swap, those with all three ones on one side are 2 x 2.
    found = compare("EM", np.array([0, 0, 0, 1.0]), np.array([1, 1, 1, 1.0]))
    assert found.p == 4 / 16
    assert (found.wins, found.ties, found.losses) == (3, 1, 0)
    assert (found.a, found.b, found.difference.mean) == (0.25, 1.0, 0.75)


@settings(deadline=None)
@given(a=scores, data=st.data())
def test_equals_enumeration(a: list[float], data: st.DataObject) -> None:
    b = data.draw(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=len(a), max_size=len(a)))
    difference = np.array(b) - np.array(a)
    means = [
        abs(np.mean(difference * signs)) >= abs(difference.mean()) - 1e-12
        for signs in product((-1, 1), repeat=len(a))
    ]
    found = compare("EM", np.array(a), np.array(b))
    assert found.p == np.mean(means)
    mirrored = compare("EM", np.array(b), np.array(a))
    assert (mirrored.p, mirrored.wins, mirrored.losses) == (found.p, found.losses, found.wins)


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.15])
def test_the_randomisation_test_agrees_with_scipy(shift: float) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random(80), rng.random(80) + shift
    theirs = scipy.stats.permutation_test(
        (a, b),
        lambda x, y, axis: np.mean(y - x, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20_000,
        rng=rng,
    )
    # Two counts of random draws: four standard errors of the difference.
    error = np.sqrt(theirs.pvalue * (1 - theirs.pvalue) * (1 / RESAMPLES + 1 / 20_000))
    assert compare("F1", a, b).p == pytest.approx(theirs.pvalue, abs=4 * error + 1 / RESAMPLES)


@pytest.mark.parametrize("values", [np.random.default_rng(2).random(60), np.repeat([0.0, 1.0], [20, 50])])
def test_the_interval_agrees_with_scipy(values: np.ndarray) -> None:
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(3)
    ).confidence_interval
    found = estimate(values)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1 / len(values))
    assert (found.mean, found.questions) == (pytest.approx(values.mean()), len(values))


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    inside = 0
    for _ in range(100):
        found = estimate((rng.random(100) < 0.3).astype(float))
        inside += found.low <= 0.3 <= found.high
    assert 86 <= inside < 100  # 95 of 100, and four standard errors below


def test_the_same_values_give_the_same_numbers() -> None:
    values = np.random.default_rng(5).random(50)
    assert estimate(values) == estimate(values.copy())
    assert compare("F1", values, values[::-1]) == compare("F1", values, values[::-1])


def test_many_questions_are_drawn_in_parts() -> None:
    """More than fit into one part: the interval of a mean of n coin tosses is known."""
    values = np.tile([0.0, 1.0], 1000)
    found = estimate(values)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * 0.5 / np.sqrt(2000), rel=0.1)


def test_equal_systems() -> None:
    values = np.random.default_rng(6).random(30)
    found = compare("F1", values, values)
    assert (found.p, found.wins, found.ties, found.losses) == (1.0, 0, 30, 0)
    assert (found.difference.low, found.difference.high) == (0, 0)


def test_an_estimate_reads_well() -> None:
    assert str(estimate(np.array([0.5, 0.5]))) == "0.500 [0.500, 0.500]"


def test_bad_use_is_refused() -> None:
    with pytest.raises(RagkitError, match="no question"):
        estimate(np.array([]))
    with pytest.raises(RagkitError, match="EM: 2 values against 3"):
        compare("EM", np.zeros(2), np.zeros(3))
