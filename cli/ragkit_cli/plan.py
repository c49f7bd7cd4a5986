"""`ragkit index plan`: the smallest vector engine that keeps what is asked; `verify --recall` checks it."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragkit.errors import RagkitError
from ragkit_cli import units
from ragkit_cli.console import Stages, note, print_json, progress, table
from ragkit_cli.options import Json, open_index

if TYPE_CHECKING:
    from ragkit.index.planning.plan import Plan
    from ragkit.index.planning.promise import RecallCheck
    from ragkit.index.planning.questions import Questions
    from ragkit.index.planning.row import Row
    from ragkit.retrieval.index import Index

HEAD = ("engine", "search", "recall@10", "at least", "p50 ms", "p95 ms", "bytes each", "MB", "build s", "")
SHOWN_BELOW = 0.05
"""Of the goal: engines of less recall are left out of the table."""

QuestionsOption = Annotated[
    Path | None,
    typer.Option(
        "--questions",
        help="A data set whose questions are asked; sentences of the passages if left out.",
        show_default=False,
    ),
]


def plan(
    index: Annotated[
        str | None, typer.Argument(metavar="INDEX", help="The index built last if left out.")
    ] = None,
    recall: Annotated[
        float, typer.Option("--recall", help="Of the ten nearest vectors, this share is found at least.")
    ] = 0.95,
    ram: Annotated[
        int | None,
        typer.Option("--ram", parser=units.size, metavar="SIZE", help="The engine takes no more: 2GB."),
    ] = None,
    latency: Annotated[
        float | None,
        typer.Option(
            "--latency", parser=units.duration, metavar="TIME",
            help="95 of 100 searches take no longer on one thread, encoding left aside: 10ms.",
        ),
    ] = None,
    questions: QuestionsOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the table and build nothing.")] = False,
    json: Json = False,
) -> None:  # fmt: skip
    """Measure the vector engines on the index's own vectors, and build the smallest that keeps the goals.

    The recall is promised in the index: `ragkit index verify --recall` measures it again.
    """
    from ragkit.index.planning import plan as planning
    from ragkit.index.planning.goals import Goals
    from ragkit.index.planning.promise import build

    goals = Goals(recall, ram, latency)
    opened = open_index(index)
    with progress() as bars:
        stages = Stages(bars)
        made = planning.plan(
            opened, goals, questions=asked_of(opened, questions),
            on_progress=stages.of("measuring", "engines"),
        )  # fmt: skip
        builds = bool(made.kept) and not dry_run
        if builds:
            build(opened, made, stages)
    if json:
        print_json(_content(opened, made, builds))
    else:
        _show(opened, made)
    chosen = made.chosen
    if json:
        return
    if builds:
        print(
            f"built {opened.path} with {chosen.name}; recall@10 of {goals.recall:g} is promised: "
            f"`ragkit index verify --recall {opened.path}` measures it again"
        )
    else:
        print(f"nothing built; the choice is {chosen.name}")


def asked_of(index: "Index", data: Path | None) -> "Questions | None":
    """A data set's questions as vectors. Raises RagkitError where it holds none."""
    from ragkit.corpus.questions import load_questions
    from ragkit.index.planning.questions import questions_of

    if data is None:
        return None
    found = load_questions(data)
    if not found.questions:
        raise RagkitError(f"{data} holds no questions")
    return questions_of(index, [question.text for question in found.questions], found.name)


def recall_line(check: "RecallCheck") -> str:
    """What was measured, beside what was promised."""
    promised = f"; {check.promise.recall:g} was promised" if check.promise else "; nothing was promised"
    return (
        f"recall@10 {check.recall:.3f} [{check.low:.3f}, {check.high:.3f}], {check.asked} "
        f"{_kind(check.questions)} asked{promised}"
    )


def _show(index: "Index", made: "Plan") -> None:
    on = (
        "measured" if made.measured else f"measured on {made.sampled:,}, the questions' neighbours among them"
    )
    note(f"{index.path}: {made.passages:,} passages, {made.asked} {_kind(made.questions)} asked; {on}")
    if made.note:
        note(made.note)
    chosen = made.kept[0] if made.kept else None
    front = [row for row in made.front if row != chosen] + ([chosen] if chosen else [])
    rows = [row for row in front if row.recall >= made.goals.recall - SHOWN_BELOW]
    table(
        HEAD,
        [
            [
                f"{row.recipe} ({row.factory})",
                " ".join(f"{name}={value}" for name, value in row.search.items()),
                f"{row.recall:.3f}", f"{row.bound:.3f}", f"{1000 * row.p50:.3g}", f"{1000 * row.p95:.3g}",
                f"{row.bytes_a_vector:.0f}", f"{row.ram / 1e6:,.1f}", f"{row.build:.3g}",
                "chosen" if row == chosen else "",
            ]
            for row in sorted(rows, key=lambda row: row.recall)
        ],
    )  # fmt: skip
    if left := len(front) - len(rows):
        note(f"{left} of a recall below {made.goals.recall - SHOWN_BELOW:.3g} left out: see --json")


def _content(index: "Index", made: "Plan", built: bool) -> dict[str, Any]:
    return {
        "path": str(index.path),
        "goals": asdict(made.goals),
        "passages": made.passages,
        "measured_on": made.sampled,
        "questions": made.questions,
        "asked": made.asked,
        "note": made.note,
        "engines": [_row(row) for row in made.front],
        "chosen": _row(made.kept[0]) if made.kept else None,
        "built": built,
    }


def _row(row: "Row") -> dict[str, Any]:
    return {**asdict(row), "search": dict(row.search)}


def _kind(questions: str) -> str:
    names = {"sentences": "sentences of the passages", "vectors": "vectors of passages"}
    return names.get(questions, f"questions of {questions}")
