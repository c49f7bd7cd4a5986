"""A check: what a row of the chapter table must reach, and the function that measures it.

The targets stand in the tables of the chapters and nowhere else: `ragkit check` and the tests both run them.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import Any

from ragkit.errors import RagkitError

Measured = Mapping[str, float | Sequence[float]]
"""What was reached, by the name of its target: a number, or one for each seed."""


class MissingError(RagkitError):
    """Data or a package that a check needs is not on this machine: the check is skipped and says why."""


@dataclass(frozen=True)
class Target:
    """A bound on one number; both bounds the same means exactly that number."""

    name: str
    at_least: float | None = None
    at_most: float | None = None

    def holds(self, value: float) -> bool:
        """False for NaN."""
        low = -math.inf if self.at_least is None else self.at_least
        high = math.inf if self.at_most is None else self.at_most
        return low <= value <= high

    def __str__(self) -> str:
        if self.at_least is not None and self.at_most is not None:
            if self.at_least == self.at_most:
                return f"{self.name} = {self.at_least:g}"
            return f"{self.name} in [{self.at_least:g}, {self.at_most:g}]"
        sign, bound = ("≥", self.at_least) if self.at_most is None else ("≤", self.at_most)
        return f"{self.name} {sign} {bound:g}"


@dataclass(frozen=True)
class Check:
    """One row of the table.

    Attributes:
        reference: what the numbers are compared with: a library, a closed form, a published size.
        measure: where the function stands that returns `Measured`, as "package.module.function".
        trained: whether it trains models, which takes a minute or more.
    """

    row: int
    item: str
    reference: str
    targets: tuple[Target, ...]
    measure: str
    trained: bool = False

    def run(self) -> "Outcome":
        """Measures.

        Raises:
            MissingError: if this machine lacks what the check needs.
        """
        began, worked = time.perf_counter(), time.process_time()
        measured: Measured = load(self.measure)()
        names = {target.name for target in self.targets}
        if measured.keys() != names:
            raise ValueError(f"{self.measure} measured {sorted(measured)}, the targets are {sorted(names)}")
        reached = {
            name: [float(v) for v in value] if isinstance(value, Sequence) else [float(value)]
            for name, value in measured.items()
        }
        return Outcome(self, reached, time.perf_counter() - began, time.process_time() - worked)


@dataclass(frozen=True)
class Outcome:
    """What a check reached: of several seeds the mean counts.

    `processor_seconds` of all threads: what `seconds` would be on one core with nothing else to do.
    """

    check: Check
    reached: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    processor_seconds: float = 0.0
    skipped: str | None = None
    failed: str | None = None
    """The error that ended it."""

    @cached_property
    def means(self) -> dict[str, float]:
        return {name: sum(values) / len(values) for name, values in self.reached.items()}

    @property
    def passed(self) -> bool:
        return not self.skipped and not self.failed and not self.missed

    @property
    def missed(self) -> list[Target]:
        return [t for t in self.check.targets if t.name in self.means and not t.holds(self.means[t.name])]

    @property
    def result(self) -> str:
        if self.failed:
            return f"failed: {self.failed}"
        return f"skipped: {self.skipped}" if self.skipped else "passed" if self.passed else "missed"

    def targets_text(self) -> str:
        return "; ".join(map(str, self.check.targets))

    def reached_text(self) -> str:
        """The numbers in the order of the targets; of several seeds mean ± half of their range."""
        return "; ".join(_text(self.reached[t.name]) for t in self.check.targets if t.name in self.reached)

    def to_json(self) -> dict[str, Any]:
        targets = [
            {
                "name": t.name,
                "at_least": t.at_least,
                "at_most": t.at_most,
                "reached": self.reached.get(t.name),
            }
            for t in self.check.targets
        ]
        return {
            "row": self.check.row,
            "item": self.check.item,
            "targets": targets,
            "reference": self.check.reference,
            "result": self.result,
            "seconds": round(self.seconds, 1),
            "processor_seconds": round(self.processor_seconds, 1),
        }


def load(path: str) -> Callable[..., Any]:
    """The function or class at "package.module.name": modules of models are imported when used."""
    module, _, name = path.rpartition(".")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found


def _text(values: list[float]) -> str:
    mean = sum(values) / len(values)
    spread = (max(values) - min(values)) / 2
    return f"{mean:.4g} ± {spread:.2g}" if len(values) > 1 else f"{mean:.4g}"
