"""The one place that talks to the terminal: results to standard output, everything else to standard error.

Bars and colours appear on a terminal only; a pipe gets plain results and nothing else.
"""

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from ragkit.index.events import Event


@cache
def out() -> "Console":
    from rich.console import Console

    # A pipe has no width: lines are as long as they are.
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


@cache
def err() -> "Console":
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def complain(message: str) -> None:
    """One line on standard error."""
    text = " ".join(message.split())
    if sys.stderr.isatty():
        err().print(f"[bold red]ragkit:[/] {escape(text)}")
    else:
        print(f"ragkit: {text}", file=sys.stderr)


def note(message: str) -> None:
    """A remark beside the result, for a person: on standard error."""
    if sys.stderr.isatty():
        err().print(f"[dim]{escape(message)}[/]")
    else:
        print(message, file=sys.stderr)


def escape(text: str) -> str:
    """Text from documents as it is, not as rich's markup or as control codes of the terminal."""
    from rich.markup import escape as escape_markup

    printable = "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
    return escape_markup(printable)


def print_json(value: Any) -> None:
    """JSON has no infinities: log 0, as of an answer that a passage does not hold, is null."""
    print(json.dumps(_finite(value), ensure_ascii=False, indent=2, default=str, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(head: Sequence[str], rows: Sequence[Sequence[str]], title: str | None = None) -> None:
    """A table to standard output: drawn on a terminal, tab-separated in a pipe."""
    if not sys.stdout.isatty():
        print("\t".join(head))
        for row in rows:
            print("\t".join(row))
        return
    from rich import box
    from rich.table import Table

    drawn = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    for at, name in enumerate(head):
        drawn.add_column(name, justify="left" if at == 0 else "right")
    for row in rows:
        drawn.add_row(*map(escape, row))
    out().print(drawn)


@contextmanager
def progress() -> Iterator["Progress"]:
    """Bars with rate and remaining time on standard error; hidden where that is not a terminal."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err(),
        disable=not sys.stderr.isatty(),
    ) as bars:
        yield bars


class Stages:
    """Draws the events of a long operation, a bar a stage. Used as its `on_event`."""

    def __init__(self, bars: "Progress") -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, event: "Event") -> None:
        self.show(event.stage, event.done, event.total, event.unit)

    def of(self, stage: str, unit: str) -> Callable[[int, int], None]:
        """Draws one stage from (done, total)."""
        return lambda done, total: self.show(stage, done, total, unit)

    def step(self, stage: str, event: dict[str, Any], digits: int = 3) -> None:
        """Draws a step of training, with its loss; other events of training are left aside."""
        if event["event"] == "step":
            self.show(stage, event["step"], event["total"], "steps", f"loss {event['loss']:.{digits}f}")

    def show(self, stage: str, done: int, total: int | None, unit: str, detail: str = "") -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total, rate="")
        task = next(t for t in self._bars.tasks if t.id == self._tasks[stage])
        rate = f"{done / task.elapsed:,.0f} {unit}/s" if task.elapsed and done else unit
        self._bars.update(task.id, completed=done, total=total, rate=f"{rate} {detail}".rstrip())


def megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
