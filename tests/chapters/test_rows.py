"""Each row of the chapter table reaches its target: what `ragkit check` measures."""

from pathlib import Path
from typing import Any

import pytest

from ragkit.chapters.check import Check, MissingError
from ragkit.chapters.registry import chapters


def marked(check: Check, chapter: int) -> Any:
    marks = [pytest.mark.row(check.row), pytest.mark.chapter(number=chapter)]
    marks += [pytest.mark.slow] * check.trained
    return pytest.param(check, marks=marks, id=f"row {check.row}: {check.item}")


@pytest.fixture
def public_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `shared_data` finds is where the checks look; without it they say what they lack."""
    beside = Path(__file__).parents[3] / "shared" / "data"
    if beside.is_dir():
        monkeypatch.setenv("RAGKIT_DATA", str(beside))


@pytest.mark.parametrize("check", [marked(check, of.number) for of in chapters() for check in of.checks])
def test_the_row_reaches_its_target(check: Check, public_data: None) -> None:
    try:
        outcome = check.run()
    except MissingError as error:
        pytest.skip(str(error))
    assert outcome.passed, f"{outcome.targets_text()}: reached {outcome.reached_text()}"
