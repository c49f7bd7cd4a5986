"""`ragkit train rerank`: a cross-encoder that reads question and passage together."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ragkit_cli.options import Json
from ragkit_cli.train import Out, Rate, Seed, Steps, run_training

LOSSES = ("bce", "listmle", "lambda")


def rerank(
    data: Annotated[
        list[Path],
        typer.Argument(metavar="DATA...", help="Files of `ragkit mine` or DPR, SQuAD JSON, BEIR folders."),
    ],
    out: Out,
    loss: Annotated[str, typer.Option("--loss", help="bce, listmle or lambda.")] = "listmle",
    model: Annotated[
        str,
        typer.Option(
            "--model", help="Start from it: packaged (MiniLM), reader (the packaged one), a folder."
        ),
    ] = "packaged",
    negatives: Annotated[int, typer.Option("--negatives", min=1, help="Wrong passages a question.")] = 5,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Questions a step.")] = 8,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=16, help="Of a pair, in training.")] = 224,
    frozen_layers: Annotated[
        int, typer.Option("--frozen-layers", min=0, help="Lowest layers that stay as they are.")
    ] = 1,
    questions: Annotated[
        int | None, typer.Option("--questions", min=1, help="Of each file or folder, at most.")
    ] = None,
    split: Annotated[str | None, typer.Option("--split", help="Of BEIR folders; train if left out.")] = None,
    epochs: Annotated[float, typer.Option("--epochs", help="Passes over the data.")] = 1.0,
    learning_rate: Rate = None,
    max_steps: Steps = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Train a reranker for `--reranker`. A run that was stopped goes on where it was.

    Example: ragkit train rerank mined.json --out runs/reranker --loss lambda
    """
    if loss not in LOSSES:
        raise typer.BadParameter(f"{loss!r} is not one of {', '.join(LOSSES)}", param_hint="--loss")
    from ragkit.training.ranking.reranker import RerankerSettings, train_reranker

    given: dict[str, Any] = {} if learning_rate is None else {"learning_rate": learning_rate}
    settings = RerankerSettings(
        model=model,
        loss=loss,  # type: ignore[arg-type]
        negatives=negatives,
        batch=batch,
        max_tokens=max_tokens,
        frozen_layers=frozen_layers,
        questions=questions,
        epochs=epochs,
        max_steps=max_steps,
        seed=seed,
        **given,
    )
    run_training(lambda on_event: train_reranker(data, out, settings, on_event, split), out, json)
