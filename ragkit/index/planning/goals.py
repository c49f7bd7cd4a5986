"""What is asked of an engine, and what to ask less of where none keeps it."""

from collections.abc import Sequence
from dataclasses import dataclass

from ragkit.errors import RagkitError
from ragkit.index.planning.row import Row


@dataclass(frozen=True)
class Goals:
    """Raises RagkitError for what no engine can keep."""

    recall: float = 0.95
    """Recall@10 against exact search, at least."""
    ram: int | None = None
    """Bytes of the engine, at most."""
    latency: float | None = None
    """Seconds that 95 of 100 searches take on one thread, at most."""

    def __post_init__(self) -> None:
        if not 0 < self.recall <= 1:
            raise RagkitError(f"recall {self.recall:g} is not a share: ask for more than 0 and at most 1")
        for name, value in (("ram", self.ram), ("latency", self.latency)):
            if value is not None and value <= 0:
                raise RagkitError(f"{name} is {value:g}: allow more than 0")

    def broken_by(self, row: Row) -> dict[str, float]:
        """How far the row is from keeping each goal that it does not keep, as a share of what is asked.

        Of recall not the expected one counts, but its lower bound: a promise should hold.
        """
        gaps = {"recall": (self.recall - row.bound) / self.recall}
        if self.ram is not None:
            gaps["ram"] = row.ram / self.ram - 1
        if self.latency is not None:
            gaps["latency"] = row.p95 / self.latency - 1
        return {name: gap for name, gap in gaps.items() if gap > 0}


def loosened(goals: Goals, rows: Sequence[Row]) -> str:
    """Names the row that is nearest to the goals, and values of the options that it would keep."""
    nearest = min(rows, key=lambda row: (sum(goals.broken_by(row).values()), row.ram))
    enough = {
        "recall": f"--recall {int(nearest.bound * 1000) / 1000:g}",
        "ram": f"--ram {nearest.ram / 1e6 + 0.1:.1f}MB",
        "latency": f"--latency {nearest.p95 * 1000 + 0.01:.2f}ms",
    }
    asked = [f"recall {goals.recall:g}"]
    asked += [f"{goals.ram / 1e6:,.1f} MB"] if goals.ram is not None else []
    asked += [f"{goals.latency * 1000:g} ms"] if goals.latency is not None else []
    return (
        f"no engine keeps {', '.join(asked)}: the nearest is {nearest.name} with recall "
        f"{nearest.bound:.3f} or more, {nearest.ram / 1e6:,.1f} MB, {nearest.p95 * 1000:.2f} ms; ask for "
        f"{' '.join(enough[name] for name in goals.broken_by(nearest))}"
    )
