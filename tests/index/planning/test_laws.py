"""Laws that are known come back from their values."""

import numpy as np
import pytest
from scipy.special import expit, logit

from ragkit.index.planning.laws import affine_law, power_law, recall_of, scan_law

SIZES, TARGET = [1000, 4000, 16_000], 1_000_000


def recalls(mean: float, questions: int = 4000) -> np.ndarray:
    """(questions,): each finds all ten or none."""
    return (np.arange(questions) < round(mean * questions)).astype(float)


def test_recall_that_was_measured_is_expected_and_a_little_less_promised() -> None:
    found = recall_of(recalls(0.9), 10)
    assert found.expected == pytest.approx(0.9) and 0.88 < found.bound < 0.9


def test_log_odds_go_on_falling_as_they_fell() -> None:
    seen = np.array([recalls(0.99), recalls(0.98)])
    fall = logit(0.98) - logit(0.99)
    found = recall_of(recalls(0.97), 10, seen, times=2)
    assert found.expected == pytest.approx(expit(logit(0.97) + 2 * fall), abs=0.002)
    assert found.bound < found.expected


def test_recall_that_rose_is_not_relied_on() -> None:
    found = recall_of(recalls(0.9), 10, np.array([recalls(0.8), recalls(0.85)]), 3)
    assert found.expected == pytest.approx(0.9, abs=0.001)


def test_a_few_questions_without_a_miss_promise_little() -> None:
    few, many = (recall_of(np.ones(n), 10).bound for n in (3, 300))
    assert few < many < 1


def test_more_questions_narrow_the_bound() -> None:
    few, many = (recall_of(recalls(0.9, n), 10) for n in (30, 3000))
    assert few.expected - few.bound > 5 * (many.expected - many.bound)


def test_time_of_inverted_lists_comes_back_from_its_parts() -> None:
    """A constant, and so much a list and a vector: from short lists to ones that are 50 times as long."""
    shares = np.array([1 / 128, 1 / 64, 1 / 16, 1 / 4, 1 / 2])
    looked_at = np.concatenate([np.column_stack([shares, shares * n]) for n in (5000, 20_000)])

    def seconds(at: np.ndarray) -> np.ndarray:
        return 12e-6 + 40e-6 * at[:, 0] + 5e-9 * at[:, 1]

    noise = np.random.default_rng(0).normal(1, 0.02, len(looked_at))
    targets = np.column_stack([shares, shares * 1_000_000])
    found = scan_law(looked_at, seconds(looked_at) * noise, targets)
    np.testing.assert_allclose(found, seconds(targets), rtol=0.1)
    assert (np.diff(scan_law(looked_at, 1 / noise, targets)) >= 0).all(), "nothing gets cheaper"


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_power_laws(exponent: float) -> None:
    values = [0.003 * n**exponent for n in SIZES]
    assert power_law(TARGET, SIZES, values, 1.25) == pytest.approx(0.003 * TARGET**exponent)


def test_exponents_are_kept_within_reason() -> None:
    steep = power_law(TARGET, SIZES, [n**2.0 for n in SIZES], steepest=1.25)
    assert steep == pytest.approx(4000**2 * (TARGET / 4000) ** 1.25)
    assert power_law(TARGET, SIZES, [4.0, 2.0, 1.0], steepest=1.25) == pytest.approx(2.0)


def test_bytes_are_a_straight_line() -> None:
    assert affine_law(TARGET, SIZES, [5000 + 72 * n for n in SIZES]) == pytest.approx(5000 + 72 * TARGET)
    assert affine_law(TARGET, SIZES, [100, 100, 100]) == 100
    assert affine_law(TARGET, SIZES, [300, 200, 100]) == 100
