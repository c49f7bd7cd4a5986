"""What a plan tries: every recipe with search parameters from fast to thorough."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

from ragkit.index.recipe import Choice, Recipe, choose

SHARES = [Fraction(part, 1 << power) for power in range(10, 1, -1) for part in (2, 3)]
"""Of the inverted lists that a search looks into: 1/512, 3/1024, 1/256, ... 3/4 (of 512 lists, 1 to 384)."""
BEAMS = [16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024]
"""efSearch: how many of a graph's vectors a search keeps in sight."""
REFINED = [2, 4, 8, 16]
"""k_factor_rf: how many times k vectors are scored again."""


@dataclass(frozen=True)
class Candidate:
    """A recipe with search parameters, for any size of corpus."""

    recipe: str
    share: Fraction | None = None
    """Of the lists: their number grows with the corpus, the share to look into stays."""
    beam: int | None = None
    refined: int | None = None

    def choice(self, passages: int, dimension: int) -> Choice:
        """The FAISS factory string and search parameters for so many passages."""
        factory = choose(self.recipe, passages, dimension).factory
        search = {}
        if self.share is not None:
            search["nprobe"] = max(1, round(self.share * lists_of(factory)))
        if self.beam is not None:
            search["efSearch"] = self.beam
        if self.refined is not None:
            search["k_factor_rf"] = self.refined
        return Choice(factory, search)

    def measurable(self, passages: int, dimension: int) -> bool:
        """Whether at this size its share comes to a whole number of lists: rounded, it were another share."""
        lists = lists_of(choose(self.recipe, passages, dimension).factory)
        return self.share is None or (self.share * lists).denominator == 1


def candidates(recipe: Recipe) -> Iterator[Candidate]:
    """From fast to thorough."""
    shares = SHARES if "IVF" in recipe.factory else [None]
    beams = BEAMS if "HNSW" in recipe.factory and "IVF" not in recipe.factory else [None]
    refined = REFINED if re.search(r"RFlat|Refine", recipe.factory) else [None]
    for share, beam, times in product(shares, beams, refined):
        yield Candidate(recipe.name, share, beam, times)


def is_exact(factory: str) -> bool:
    """Whether it scores every vector as it is."""
    return factory == "Flat"


def lists_of(factory: str) -> int:
    """The inverted lists of a factory string; 1 without."""
    found = re.search(r"IVF(\d+)", factory)
    return int(found[1]) if found else 1
