"""All chapters, and how the user names a chapter, a row or a recipe."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module

from ragkit.chapters.chapter import Chapter, ChapterRecipe
from ragkit.chapters.check import Check
from ragkit.errors import RagkitError

PARTS = (
    "basics",
    "measure",
    "vision",
    "selfsup",
    "sequence",
    "rag",
    "generative",
    "graph",
    "compress",
    "meta",
)
"""The folders beside this file; each has a `table.py` with its `CHAPTERS`."""


def chapters(name: str | None = None) -> list[Chapter]:
    """The chapters called `name`: "2", "ch2" or the part of the library ("basics"); None: all.

    Raises:
        RagkitError: if there is none.
    """
    found: list[Chapter] = []
    for part in PARTS:
        found += import_module(f"ragkit.chapters.{part}.table").CHAPTERS
    found.sort(key=lambda chapter: chapter.number)
    if name is None:
        return found
    named = [c for c in found if name in (str(c.number), f"ch{c.number}", c.part)]
    if not named:
        known = ", ".join([*(f"ch{c.number}" for c in found), *PARTS])
        raise RagkitError(f"no chapter {name!r}: there are {known}")
    return named


def recipe(name: str) -> ChapterRecipe:
    """The recipe of this name.

    Raises:
        RagkitError: if there is none; the message names the nearest.
    """
    known = {recipe.name: recipe for chapter in chapters() for recipe in chapter.recipes}
    if name not in known:
        raise RagkitError(f"no recipe {name!r}: {nearest(name, list(known))}")
    return known[name]


def checks(selectors: Sequence[str] = ()) -> list[Check]:
    """The checks that the selectors name, by row: a row ("8"), rows ("1-9"), a chapter ("ch2", "basics")
    or a recipe ("digits-mlp"); all without selectors.

    Raises:
        RagkitError: if a selector names none.
    """
    every = {check.row: check for chapter in chapters() for check in chapter.checks}
    rows = {row for selector in selectors for row in _rows(selector, sorted(every))}
    return [every[row] for row in sorted(rows if selectors else every)]


def nearest(name: str, known: Sequence[str]) -> str:
    """What to write instead of a name that is not known."""
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(known))}"


def _rows(selector: str, known: list[int]) -> list[int]:
    if match := re.fullmatch(r"(\d+)(?:-(\d+))?", selector):
        first, last = int(match[1]), int(match[2] or match[1])
        rows = [row for row in known if first <= row <= last]
        if not rows:
            raise RagkitError(f"no check for row {selector}: there are {_ranges(known)}")
        return rows
    names = {recipe.name: recipe.rows for chapter in chapters() for recipe in chapter.recipes}
    if selector in names:
        return [row for row in names[selector] if row in known]
    parts = [name for c in chapters() for name in (f"ch{c.number}", c.part)]
    if selector not in parts:
        hint = nearest(selector, [*names, *dict.fromkeys(parts)])
        raise RagkitError(f"no row, chapter or recipe {selector!r}: {hint}")
    return [check.row for chapter in chapters(selector) for check in chapter.checks]


def _ranges(rows: list[int]) -> str:
    """1, 2, 3, 7 as "1-3, 7"."""
    runs: list[list[int]] = []
    for row in rows:
        if runs and row == runs[-1][-1] + 1:
            runs[-1].append(row)
        else:
            runs.append([row])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
