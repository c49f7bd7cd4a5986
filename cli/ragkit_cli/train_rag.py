"""`ragkit train rag`: retriever and generator together, through the marginal likelihood."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ragkit_cli.options import IndexArgument, Json, open_index
from ragkit_cli.train import Out, Seed, Steps, run_training

LOSSES = ("sequence", "token")
PARTS = ("question", "generator")


def rag(
    index: IndexArgument,
    data: Annotated[
        list[Path],
        typer.Argument(metavar="DATA...", help="BEIR folders with answers, SQuAD or DPR JSON."),
    ],
    out: Out,
    generator: Annotated[
        str, typer.Option("--generator", help="Start from it: packaged, a folder or hub id.")
    ] = "packaged",
    loss: Annotated[
        str, typer.Option("--loss", help="sequence or token: which RAG's likelihood.")
    ] = "sequence",
    freeze: Annotated[
        str | None, typer.Option("--freeze", help="question or generator: this part stays as it is.")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Passages a question.")] = 5,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Questions a step.")] = 8,
    question_rate: Annotated[
        float, typer.Option("--question-rate", help="Peak learning rate of the question tower.")
    ] = 2e-5,
    generator_rate: Annotated[
        float, typer.Option("--generator-rate", help="Peak learning rate of the generator.")
    ] = 5e-5,
    frozen_layers: Annotated[
        int,
        typer.Option("--frozen-layers", min=0, help="Lowest layers of the generator's encoder that stay."),
    ] = 4,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", min=16, help="Of question and passage, in training.")
    ] = 256,
    temperature: Annotated[
        float | None, typer.Option("--temperature", help="Of p(z|x); dense search's if left out.")
    ] = None,
    rebuild_every: Annotated[
        int | None,
        typer.Option(
            "--rebuild-every", min=1, help="Train the passage tower, too; build OUT/index anew so often."
        ),
    ] = None,
    held_out: Annotated[
        int, typer.Option("--held-out", min=1, help="Questions that validate, at most a tenth of all.")
    ] = 200,
    validate_every: Annotated[int, typer.Option("--validate-every", min=1, help="Steps.")] = 500,
    split: Annotated[str | None, typer.Option("--split", help="Of BEIR folders; train if left out.")] = None,
    epochs: Annotated[float, typer.Option("--epochs", help="Passes over the data.")] = 1.0,
    max_steps: Steps = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Train retriever and generator together on answers alone. A run that was stopped goes on where it was.

    Example: ragkit train rag indexes/mine my-questions --out runs/rag
    """
    for value, known, option in ((loss, LOSSES, "--loss"), (freeze, (None, *PARTS), "--freeze")):
        if value not in known:
            named = ", ".join(name for name in known if name)
            raise typer.BadParameter(f"{value!r} is not one of {named}", param_hint=option)
    from ragkit.training.rag.rag import train_rag
    from ragkit.training.rag.recipe import RagSettings

    settings = RagSettings(
        generator=generator,
        k=k,
        loss=loss,  # type: ignore[arg-type]
        freeze=freeze,  # type: ignore[arg-type]
        question_rate=question_rate,
        frozen_layers=frozen_layers,
        batch=batch,
        temperature=temperature,
        max_tokens=max_tokens,
        rebuild_every=rebuild_every,
        held_out=held_out,
    )
    loop = replace(
        settings.loop,
        learning_rate=generator_rate,
        epochs=epochs,
        max_steps=max_steps,
        validate_every=validate_every,
        seed=seed,
    )
    settings, opened = replace(settings, loop=loop), open_index(index)
    run_training(
        lambda on_event: train_rag(opened, data, out, settings, on_event, split),
        out,
        json,
        parts=("encoder", "generator"),
    )
