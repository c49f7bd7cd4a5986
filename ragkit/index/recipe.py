"""Index recipes: which FAISS factory string serves which size of corpus, and how to search it.

Each is a TOML file in `ragkit/index/recipes/` (the folder `indexes/` of the source tree links to the same
files), with what was measured for it.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

AUTO = "auto"


@dataclass(frozen=True)
class Recipe:
    """One file of recipes."""

    name: str
    factory: str
    """A FAISS factory string; {lists}, {subquantizers} and {pairs} are filled in for the corpus at hand."""
    up_to: int | None = None
    """The largest number of passages that "auto" takes it for; 0: no limit; None: "auto" never does."""
    search: Mapping[str, int] = field(default_factory=dict)
    """FAISS search parameters; where empty, `default_search` gives them."""
    measured: list[dict[str, Any]] = field(default_factory=list)
    """Rows of measurements: on what, recall against exact search, milliseconds a query, bytes a vector."""


@dataclass(frozen=True)
class Choice:
    """What an engine is made from."""

    factory: str
    search: dict[str, int]


def recipes() -> list[Recipe]:
    """All recipes: those that "auto" tries, in that order, then the others."""
    found = [
        Recipe(name=file.name.removesuffix(".toml"), **tomllib.loads(file.read_text("utf-8")))
        for file in files("ragkit.index").joinpath("recipes").iterdir()
        if file.name.endswith(".toml")
    ]
    return sorted(found, key=lambda recipe: (recipe.up_to is None, recipe.up_to or float("inf"), recipe.name))


def choose(index: str, passages: int, dimension: int) -> Choice:
    """What "auto", a recipe's name, or a FAISS factory string comes to for a corpus of so many passages."""
    by_name = {recipe.name: recipe for recipe in recipes()}
    if index == AUTO:
        automatic = (r for r in by_name.values() if r.up_to is not None)
        recipe = next(r for r in automatic if passages <= (r.up_to or passages))
    elif index in by_name:
        recipe = by_name[index]
    else:
        return Choice(index, default_search(index))
    factory = recipe.factory.format(
        lists=_lists(passages), subquantizers=_subquantizers(dimension, (4, 2, 1)),
        pairs=_subquantizers(dimension, (2, 1)),
    )  # fmt: skip
    return Choice(factory, dict(recipe.search) or default_search(factory))


def check_factory(index: str, dimension: int) -> None:
    """Raises RagkitError where FAISS cannot make the engine: to be told before hours of encoding."""
    from ragkit.index.faiss_index import FaissIndex

    choice = choose(index, passages=1, dimension=dimension)
    FaissIndex(dimension, choice.factory, choice.search)


def default_search(factory: str) -> dict[str, int]:
    """FAISS parameters for a factory string: an eighth of the lists, a beam of 128, 8 k vectors
    re-ranked."""
    search = {}
    if lists := re.search(r"IVF(\d+)", factory):
        search["nprobe"] = min(int(lists[1]), max(8, int(lists[1]) // 8))
    elif "HNSW" in factory:
        search["efSearch"] = 128
    if re.search(r"RFlat|Refine", factory):
        search["k_factor_rf"] = 8
    return search


def _lists(passages: int) -> int:
    """A power of two, at most 4 sqrt(n) as FAISS's guidelines have it, that leaves 32 passages a list."""
    return 1 << max(0, int(min(4 * passages**0.5, passages / 32)).bit_length() - 1)


def _subquantizers(dimension: int, parts: tuple[int, ...]) -> int:
    """Product quantiser codes a vector: one for as many dimensions as the first of `parts` that divides
    them."""
    return next(dimension // part for part in parts if dimension % part == 0)
