"""`ragkit train dpr`: a dual encoder on one's own questions."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ragkit_cli.options import Json
from ragkit_cli.train import Out, Rate, Seed, Steps, run_training

TOWERS = ("shared", "separate", "frozen")
LOSSES = ("nll", "triplet", "contrastive")


def dpr(
    data: Annotated[
        list[Path],
        typer.Argument(metavar="DATA...", help="Files of `ragkit mine` or DPR, SQuAD JSON, BEIR folders."),
    ],
    out: Out,
    encoder: Annotated[
        str, typer.Option("--encoder", help="Start from it: a folder or hub id.")
    ] = "packaged",
    towers: Annotated[
        str,
        typer.Option("--towers", help="shared, separate, or frozen: passages stay as an index has them."),
    ] = "shared",
    loss: Annotated[str, typer.Option("--loss", help="nll (DPR's), triplet or contrastive.")] = "nll",
    batch: Annotated[int, typer.Option("--batch", min=2, help="Passages a step, hard negatives aside.")] = 64,
    group: Annotated[
        int,
        typer.Option("--group", min=1, help="Questions a passage: it is encoded once for all of them."),
    ] = 1,
    mini_batch: Annotated[
        int | None,
        typer.Option(
            "--mini-batch", min=1, help="Texts in memory at once: a large batch on a small machine."
        ),
    ] = None,
    negatives: Annotated[int, typer.Option("--negatives", min=0, help="Hard ones, a question.")] = 1,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=8, help="Of a text, in training.")] = 192,
    inner_product: Annotated[
        bool, typer.Option("--inner-product", help="Score by it as DPR does, not by cosine.")
    ] = False,
    keep: Annotated[
        float,
        typer.Option("--keep", min=0, max=0.99, help="Share of the starting weights kept: forgets less."),
    ] = 0.0,
    split: Annotated[str | None, typer.Option("--split", help="Of BEIR folders; train if left out.")] = None,
    epochs: Annotated[float, typer.Option("--epochs", help="Passes over the data.")] = 1.0,
    learning_rate: Rate = None,
    max_steps: Steps = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Fine-tune the dual encoder that dense search stands on. A run that was stopped goes on where it was.

    Example: ragkit train dpr mined.json --out runs/dpr
    """
    checked = ((towers, TOWERS, "--towers"), (loss, LOSSES, "--loss"))
    for value, known, option in checked:
        if value not in known:
            raise typer.BadParameter(f"{value!r} is not one of {', '.join(known)}", param_hint=option)
    from ragkit.training.retrieval.dual_encoder import DualEncoderSettings, train_dual_encoder

    given: dict[str, Any] = {} if learning_rate is None else {"learning_rate": learning_rate}
    settings = DualEncoderSettings(
        encoder=encoder,
        towers=towers,  # type: ignore[arg-type]
        loss=loss,  # type: ignore[arg-type]
        inner_product=inner_product,
        batch=batch,
        group=group,
        mini_batch=mini_batch,
        negatives=negatives,
        max_tokens=max_tokens,
        epochs=epochs,
        max_steps=max_steps,
        keep=keep,
        seed=seed,
        **given,
    )
    run_training(lambda on_event: train_dual_encoder(data, out, settings, on_event, split), out, json)
