"""`ragkit train reward`: what `ragkit ask --best-of` prefers."""

from pathlib import Path
from typing import Annotated

import typer

from ragkit.errors import RagkitError
from ragkit_cli.ask import Generator, Reader, ReaderModel, make_answerer
from ragkit_cli.console import Stages, print_json, progress
from ragkit_cli.options import IndexArgument, Json, K, ModeOption, open_index


def reward(
    index: IndexArgument,
    dataset: Annotated[
        str, typer.Argument(help="Questions with answers: BEIR folder, SQuAD or DPR file, demo:")
    ],
    out: Annotated[Path, typer.Option("--out", help="The JSON file, for `ragkit ask --reward`.")],
    split: Annotated[str, typer.Option("--split", help="Of a BEIR folder.")] = "train",
    questions: Annotated[int, typer.Option("--questions", min=1, help="At most, evenly spread.")] = 500,
    k: K = 5,
    mode: ModeOption = "hybrid",
    reader: Reader = False,
    reader_model: ReaderModel = None,
    generator: Generator = None,
    json: Json = False,
) -> None:
    """Learn which of an answerer's answers are best, from questions whose right answers are known.

    Every fifth question is left out of the training and measures it.
    Example: ragkit train reward indexes/handbook my-questions --out reward.json
    """
    from ragkit.corpus.questions import load_questions
    from ragkit.training.ranking.reward import train_reward

    folder = Path(dataset).is_dir()
    asked = [one for one in load_questions(dataset, split if folder else None).questions if one.answers]
    if not asked:
        raise RagkitError(f"{dataset}: no question has an answer to learn from")
    count = len(asked)
    if questions < count:
        asked = [asked[at * count // questions] for at in range(questions)]
    answerer = make_answerer(
        open_index(index), k=k, mode=mode, reader=reader, reader_model=reader_model, generator=generator,
        method=None, beams=None, temperature=None,
    )  # fmt: skip
    with progress() as bars:
        stages = Stages(bars)
        report = train_reward(
            answerer, asked, Path(dataset).name,
            lambda done: stages.show("answering", done, len(asked), "questions"),
        )  # fmt: skip
    report.model.save(out)
    if json:
        print_json({"out": str(out), "weights": dict(report.model.weights), **report.scores})
        return
    scores = ", ".join(f"{name} {value:.3f}" for name, value in report.scores.items())
    print(f"{out}: {report.preferences:,} preferences, {scores or 'too few questions to hold any out'}")
