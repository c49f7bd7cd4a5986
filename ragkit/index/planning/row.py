"""One engine with its search parameters, as a line of a plan's table."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

STEP = 1.1


@dataclass(frozen=True)
class Row:
    """What an engine costs and gives at the size that is planned for."""

    recipe: str
    factory: str
    search: Mapping[str, int]
    recall: float
    """Expected recall@10 against exact search."""
    bound: float
    """Recall that it has at least, with 95 % confidence."""
    p50: float
    p95: float
    """Seconds a search on one thread."""
    bytes_a_vector: float
    ram: int
    """Bytes of the whole engine."""
    build: float
    """Seconds."""

    @property
    def name(self) -> str:
        """Recipe, factory and search parameters."""
        search = "".join(f", {name} {value}" for name, value in self.search.items())
        return f"{self.recipe} ({self.factory}{search})"


def dominates(a: Row, b: Row) -> bool:
    """Whether a is at least as good as b in recall, speed and memory, and better in one (Pareto)."""
    ours, theirs = _losses(a), _losses(b)
    return ours != theirs and all(x <= y for x, y in zip(ours, theirs, strict=True))


def front(rows: Sequence[Row]) -> list[Row]:
    """Those that no other one dominates, by recall. Of ones that are alike the one of the highest stands."""
    ordered = sorted(rows, key=lambda row: (row.recall, -row.p50))
    kept = {_losses(row): row for row in ordered if not any(dominates(other, row) for other in rows)}
    return sorted(kept.values(), key=lambda row: (row.recall, -row.p50))


def _losses(row: Row) -> tuple[float, float, float]:
    """In hundredths of recall and steps of a tenth of time and memory: what differs less is noise, and not
    another choice."""
    time, memory = (round(math.log(value, STEP)) for value in (row.p50, row.bytes_a_vector))
    return (-round(row.recall, 2), time, memory)
