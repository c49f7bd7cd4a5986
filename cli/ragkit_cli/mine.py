"""`ragkit mine`: questions with hard negatives out of an index, for `ragkit train dpr`."""

from pathlib import Path
from typing import Annotated

import typer

from ragkit_cli.console import Stages, note, print_json, progress
from ragkit_cli.evaluate import Dataset, Limit, Split, load_limited
from ragkit_cli.options import IndexArgument, Json, open_index


def mine(
    index: IndexArgument,
    dataset: Dataset,
    out: Annotated[Path, typer.Option("--out", help="File to write, DPR's JSON.")],
    split: Split = None,
    negatives: Annotated[int, typer.Option("--negatives", min=1, help="A question, at most.")] = 4,
    margin: Annotated[
        float,
        typer.Option("--margin", help="Share of the positive's score that a negative must stay below it."),
    ] = 0.05,
    limit: Limit = None,
    json: Json = False,
) -> None:
    """Find passages that the index takes for an answer and that are none, to train on.

    Example: ragkit mine indexes/demo demo: --out mined.json
    """
    from dataclasses import asdict

    from ragkit.training.retrieval.mining import MiningSettings, mine

    questions = load_limited(dataset, split, limit)
    with progress() as bars:
        report = mine(
            open_index(index),
            questions,
            out,
            MiningSettings(negatives, margin),
            Stages(bars).of("mining", "questions"),
        )
    if json:
        print_json({"out": str(out), **asdict(report)})
        return
    print(f"{out}: {report.written:,} questions with {report.negatives:,} hard negatives")
    note(
        f"left out: {report.without_positive:,} questions without a passage that answers them, "
        f"{report.with_answer:,} candidates that hold an answer, {report.within_margin:,} that score like one"
    )
