"""`ragkit train elmo`: contextual word vectors from a bidirectional language model over letters."""

from dataclasses import replace
from typing import Annotated, Any

import typer

from ragkit_cli.options import Json
from ragkit_cli.train import Epochs, Out, Patience, Rate, Seed, Steps, run_training


def elmo(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Documents as for index build, and indexes.")
    ],
    out: Out,
    width: Annotated[
        int, typer.Option("--width", min=8, help="Of a direction; vectors are twice as wide.")
    ] = 128,
    cells: Annotated[int, typer.Option("--cells", min=8, help="Of an LSTM, projected to the width.")] = 512,
    layers: Annotated[int, typer.Option("--layers", min=1, help="LSTMs of each direction.")] = 2,
    vocabulary: Annotated[int, typer.Option("--vocabulary", min=20, help="Words to predict.")] = 20_000,
    samples: Annotated[
        int, typer.Option("--samples", min=0, help="Words of the sampled softmax; 0 compares with all.")
    ] = 2_000,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Streams of text read side by side.")] = 32,
    row_words: Annotated[int, typer.Option("--row-words", min=8, help="Of a stream a step.")] = 64,
    half: Annotated[bool, typer.Option("--half", help="Save in half precision.")] = False,
    epochs: Epochs = None,
    learning_rate: Rate = None,
    max_steps: Steps = None,
    patience: Patience = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Train an ELMo, for `--encoder elmo:OUT/model`. A run that was stopped goes on where it was.

    Example: ragkit train elmo novels.txt.gz indexes/handbook --out runs/elmo
    """
    from ragkit.training.pretraining.elmo import ElmoSettings, train_elmo

    given: dict[str, Any] = {
        "epochs": epochs,
        "learning_rate": learning_rate,
        "max_steps": max_steps,
        "patience": patience,
    }
    settings = ElmoSettings(
        width=width,
        cells=cells,
        layers=layers,
        vocabulary=vocabulary,
        samples=samples,
        rows=rows,
        row_words=row_words,
        half=half,
    )
    loop = replace(settings.loop, seed=seed, **{name: x for name, x in given.items() if x is not None})
    settings = replace(settings, loop=loop)
    run_training(lambda on_event: train_elmo(sources, out, settings, on_event), out, json, digits=2)
