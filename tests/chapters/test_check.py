"""Targets, checks and their outcomes."""

import math

import pytest

from ragkit.chapters.check import Check, Outcome, Target

CHECK = Check(
    8,
    "an item",
    "a reference",
    (Target("error", at_most=0.1), Target("accuracy", at_least=0.9)),
    f"{__name__}.measured",
)


def outcome(**reached: list[float]) -> Outcome:
    return Outcome(CHECK, reached)


@pytest.mark.parametrize(
    "target, inside, outside, text",
    [
        (Target("a", at_least=2), [2, 9, math.inf], [1.99, -math.inf], "a ≥ 2"),
        (Target("a", at_most=1e-10), [0, 1e-10, -5], [1.1e-10, math.inf], "a ≤ 1e-10"),
        (Target("a", at_least=3, at_most=3), [3], [2.999, 3.001], "a = 3"),
        (Target("a", at_least=0.88, at_most=0.92), [0.88, 0.9], [0.87, 0.93], "a in [0.88, 0.92]"),
    ],
)
def test_a_target_holds_within_its_bounds(
    target: Target, inside: list[float], outside: list[float], text: str
) -> None:
    assert all(map(target.holds, inside))
    assert not any(map(target.holds, [*outside, math.nan]))
    assert str(target) == text


def test_the_mean_of_the_seeds_counts() -> None:
    met = outcome(error=[0.0], accuracy=[0.8, 1.0, 0.9])
    assert met.passed and met.result == "passed"
    assert met.reached_text() == "0; 0.9 ± 0.1"
    missed = outcome(error=[0.2], accuracy=[0.95])
    assert not missed.passed and [target.name for target in missed.missed] == ["error"]
    assert missed.to_json()["result"] == "missed"


def test_a_skip_or_a_failure_is_no_pass() -> None:
    assert not Outcome(CHECK, skipped="no data").passed
    assert not Outcome(CHECK, failed="ValueError: no").passed


def test_a_measure_must_give_every_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragkit.chapters.check.load", lambda path: lambda: {"error": 0.0})
    with pytest.raises(ValueError, match="accuracy"):
        CHECK.run()
    monkeypatch.setattr("ragkit.chapters.check.load", lambda path: lambda: {"error": 0.0, "accuracy": [1]})
    assert CHECK.run().passed
