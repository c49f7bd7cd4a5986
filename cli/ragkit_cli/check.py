"""`ragkit check`."""

from typing import TYPE_CHECKING, Annotated

import typer

from ragkit_cli.console import Stages, print_json, progress, table
from ragkit_cli.options import Json

if TYPE_CHECKING:
    from ragkit.chapters.check import Check, Outcome

WHAT = "Rows (8, 1-9), chapters (ch2, basics) or recipes (digits-mlp); everything if left out."


def check(
    what: Annotated[list[str] | None, typer.Argument(metavar="[ROW|CHAPTER|RECIPE]...", help=WHAT)] = None,
    json: Json = False,
) -> None:
    """Measure what the rows of the chapter table must reach, and print target, reached and reference.

    Exit code 1 if a row misses its target. Example: ragkit check 1-9
    """
    from ragkit.chapters.registry import checks

    wanted = checks(what or [])
    outcomes = []
    with progress() as bars:
        stages = Stages(bars)
        for done, one in enumerate(wanted):
            stages.show("checking", done, len(wanted), "rows", f"{one.row}: {one.item}")
            outcomes.append(_outcome(one))
        stages.show("checking", len(wanted), len(wanted), "rows")
    if json:
        print_json([outcome.to_json() for outcome in outcomes])
    else:
        rows = [
            [str(o.check.row), o.check.item, o.targets_text(), o.reached_text(), o.check.reference, o.result]
            for o in outcomes
        ]
        table(["row", "item", "target", "reached", "reference", "result"], rows)
    if not all(outcome.passed or outcome.skipped for outcome in outcomes):
        raise typer.Exit(1)


def _outcome(check: "Check") -> "Outcome":
    """One row that ends in an error does not end the others."""
    from ragkit.chapters.check import MissingError, Outcome

    try:
        return check.run()
    except MissingError as error:
        return Outcome(check, skipped=str(error))
    except Exception as error:
        return Outcome(check, failed=f"{type(error).__name__}: {error}")
