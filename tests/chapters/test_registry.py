"""Chapters, rows and recipes are found by their names; names that are not there are told from those near."""

import subprocess
import sys

import pytest

from ragkit.chapters.check import load
from ragkit.chapters.registry import chapters, checks, recipe
from ragkit.errors import RagkitError


def test_rows_are_unique_and_everything_named_exists() -> None:
    every = [check for chapter in chapters() for check in chapter.checks]
    assert len({check.row for check in every}) == len(every)
    assert all(callable(load(check.measure)) for check in every)
    assert all(check.targets for check in every)
    names = [one.name for chapter in chapters() for one in chapter.recipes]
    assert len(set(names)) == len(names)
    for name in names:
        assert load(recipe(name).experiment)().settings
        assert checks([name]), f"{name}: none of its rows is checked"


def test_selectors() -> None:
    rows = [check.row for check in checks()]
    assert [check.row for check in checks(["8"])] == [8]
    assert [check.row for check in checks(["digits-mlp", "8"])] == [8]
    assert [check.row for check in checks(["ch1"])] == [row for row in rows if row <= 10]
    assert [check.row for check in checks(["1-10"])] == [row for row in rows if row <= 10]
    assert {check.row for check in checks(["basics"])} >= {8}


@pytest.mark.parametrize("selector", ["9999", "digits-mpl", "ch77", "basic", ""])
def test_an_unknown_selector_is_refused(selector: str) -> None:
    with pytest.raises(RagkitError, match=r"no (check|row)"):
        checks([selector])


def test_the_nearest_recipe_is_suggested() -> None:
    with pytest.raises(RagkitError, match="did you mean digits-mlp"):
        recipe("digit-mlp")
    with pytest.raises(RagkitError, match="there are ch1"):
        chapters("conjuring")


def test_listing_imports_no_torch() -> None:
    code = (
        "import sys; from ragkit.chapters.registry import checks; checks(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
