"""One engine with its search parameters, as a line of a plan's table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


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
    """Those that no other one dominates, by recall. Ones that are equal stand for each other."""
    kept = {_losses(row): row for row in rows if not any(dominates(other, row) for other in rows)}
    return sorted(kept.values(), key=lambda row: (row.recall, -row.p50))


def _losses(row: Row) -> tuple[float, float, float]:
    """In the digits that a table shows: what differs less is not another choice, but noise."""
    return (-round(row.recall, 3), float(f"{row.p50:.2g}"), float(f"{row.bytes_a_vector:.3g}"))
