"""What is asked of an engine, and what is said where none keeps it."""

import math

import pytest

from ragkit.errors import RagkitError
from ragkit.index.planning.goals import Goals, loosened
from ragkit.index.planning.row import Row


def row(recall: float, milliseconds: float, megabytes: float) -> Row:
    return Row(
        "ivf", "IVF8,SQ8", {"nprobe": 2}, recall, recall - 0.01, milliseconds / 2000, milliseconds / 1000,
        100.0, int(megabytes * 1e6), 1.0,
    )  # fmt: skip


@pytest.mark.parametrize("recall", [0, -0.1, 1.01, 95, math.nan])
def test_recall_that_is_no_share(recall: float) -> None:
    with pytest.raises(RagkitError, match="is not a share"):
        Goals(recall)


@pytest.mark.parametrize("goal", [{"ram": 0}, {"ram": -1}, {"latency": 0.0}])
def test_nothing_allowed(goal: dict[str, float]) -> None:
    with pytest.raises(RagkitError, match="allow more than 0"):
        Goals(**goal)  # type: ignore[arg-type]


def test_a_promise_counts_the_bound_not_the_expectation() -> None:
    assert Goals(0.95).broken_by(row(0.955, 1, 1)).keys() == {"recall"}
    assert Goals(0.95).broken_by(row(0.965, 1, 1)) == {}


def test_every_goal_that_is_broken_is_named_with_its_distance() -> None:
    broken = Goals(0.9, ram=10**6, latency=0.002).broken_by(row(0.91 - 0.09, 4, 3))
    assert broken == pytest.approx({"recall": 0.19 / 1.9, "ram": 2.0, "latency": 1.0})


def test_what_is_loosened_keeps_the_nearest_row() -> None:
    goals = Goals(0.97, ram=10**6, latency=0.002)
    rows = [row(0.99, 30, 20), row(0.975, 2.1, 1.1), row(0.5, 1, 0.5)]
    message = loosened(goals, rows)
    assert "no engine keeps recall 0.97, 1.0 MB, 2 ms" in message and "\n" not in message
    assert message.endswith("ask for --recall 0.965 --ram 1.2MB --latency 2.11ms")
    assert Goals(0.965, ram=1_200_000, latency=0.00211).broken_by(rows[1]) == {}
