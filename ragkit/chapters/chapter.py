"""What a chapter offers: the checks of its rows and the recipes that train its models.

A table of a chapter names modules as text, so that listing recipes imports no torch.
"""

from dataclasses import dataclass

from ragkit.chapters.check import Check


@dataclass(frozen=True)
class ChapterRecipe:
    """What `ragkit train NAME` trains.

    Attributes:
        rows: the rows of the table whose models it trains.
        experiment: where the settings stand, an `Experiment`, as "package.module.Class".
    """

    name: str
    summary: str
    rows: tuple[int, ...]
    experiment: str


@dataclass(frozen=True)
class Chapter:
    """A chapter of the notes. `part` is its folder: `ragkit/models/PART`, `ragkit/chapters/PART`."""

    number: int
    part: str
    title: str
    checks: tuple[Check, ...]
    recipes: tuple[ChapterRecipe, ...] = ()
