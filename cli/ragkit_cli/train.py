"""`ragkit train`: reader, generator, mlm, and the recipes of the chapters by name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragkit_cli.console import Stages, note, print_json, progress
from ragkit_cli.options import Json
from ragkit_cli.train_recipe import RecipesToo

if TYPE_CHECKING:
    from ragkit.training.recipe import LoopSettings, TrainingResult


app = typer.Typer(
    cls=RecipesToo,
    no_args_is_help=True,
    epilog="Models of the chapters: ragkit list recipes, then ragkit train RECIPE.",
)

Out = Annotated[Path, typer.Option("--out", help="Folder of the run: checkpoints, log, curve, model.")]
Epochs = Annotated[
    float | None, typer.Option("--epochs", help="Passes over the data; the recipe's if left out.")
]
Rate = Annotated[float | None, typer.Option("--learning-rate", help="Peak rate; the recipe's if left out.")]
Steps = Annotated[int | None, typer.Option("--max-steps", min=1, help="End after so many steps.")]
Patience = Annotated[
    int | None, typer.Option("--patience", min=1, help="End after so many validations without a better one.")
]
Seed = Annotated[int, typer.Option("--seed")]


@app.command(epilog="Example: ragkit train reader train-v1.1.json.gz --out runs/reader")
def reader(
    data: Annotated[list[Path], typer.Argument(metavar="SQUAD.json...", help="SQuAD files, v1.1 or v2.0.")],
    out: Out,
    encoder: Annotated[
        str | None, typer.Option("--encoder", help="Start from it; packaged if left out.")
    ] = None,
    epochs: Epochs = None,
    learning_rate: Rate = None,
    max_steps: Steps = None,
    patience: Patience = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Fine-tune the extractive reader. A run that was stopped goes on where it was."""
    from ragkit.training.answering.reader import ReaderSettings, train_reader

    settings = ReaderSettings(model=encoder)
    settings = replace(settings, loop=_loop(settings.loop, epochs, learning_rate, max_steps, patience, seed))
    run_training(lambda on_event: train_reader(data, out, settings, on_event), out, json, digits=2)


@app.command(
    epilog="Example: ragkit train generator train-v1.1.json.gz --reader runs/reader/model --out runs/gen"
)
def generator(
    data: Annotated[
        list[Path], typer.Argument(metavar="DATA...", help="SQuAD files, and BEIR folders with answers.")
    ],
    out: Out,
    reader: Annotated[
        Path, typer.Option("--reader", help="Folder of the trained reader whose encoder it starts from.")
    ],
    epochs: Epochs = None,
    learning_rate: Rate = None,
    max_steps: Steps = None,
    patience: Patience = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Train the generator. A run that was stopped goes on where it was."""
    from ragkit.training.answering.generator import GeneratorSettings, train_generator

    settings = GeneratorSettings()
    settings = replace(settings, loop=_loop(settings.loop, epochs, learning_rate, max_steps, patience, seed))
    run_training(lambda on_event: train_generator(data, out, reader, settings, on_event), out, json, digits=2)


@app.command(epilog="Example: ragkit train mlm docs/ indexes/handbook --out runs/bert")
def mlm(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Documents as for index build, and indexes.")
    ],
    out: Out,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", help="BERT to train further: a folder, bert, or packaged; new weights if left out."
        ),
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option("--tokenizer", help="Folder of one; learnt from the sources if left out.")
    ] = None,
    vocabulary: Annotated[int, typer.Option("--vocabulary", min=100, help="Pieces to learn.")] = 16000,
    layers: Annotated[int, typer.Option("--layers", min=1, help="Of a new model.")] = 4,
    width: Annotated[int, typer.Option("--width", min=64, help="Of a new model, a multiple of 64.")] = 256,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=8, help="Of a sequence.")] = 128,
    batch_tokens: Annotated[int, typer.Option("--batch-tokens", min=64, help="Of a batch.")] = 8192,
    accumulate: Annotated[int, typer.Option("--accumulate", min=1, help="Batches of a step.")] = 1,
    whole_words: Annotated[bool, typer.Option("--whole-words", help="Mask words, not pieces.")] = False,
    next_sentence: Annotated[
        bool, typer.Option("--next-sentence", help="Learn which sentences follow each other, too.")
    ] = False,
    epochs: Epochs = None,
    learning_rate: Rate = None,
    max_steps: Steps = None,
    patience: Patience = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Pretrain a BERT by masked tokens, or adapt one. A run that was stopped goes on where it was."""
    from ragkit.training.pretraining.mlm import ADAPTING, FROM_SCRATCH, MlmSettings, train_mlm

    loop = replace(ADAPTING if model else FROM_SCRATCH, accumulate=accumulate)
    settings = MlmSettings(
        _loop(loop, epochs, learning_rate, max_steps, patience, seed),
        model=model,
        tokenizer=tokenizer,
        vocabulary=vocabulary,
        layers=layers,
        width=width,
        max_tokens=max_tokens,
        batch_tokens=batch_tokens,
        whole_words=whole_words,
        next_sentence=next_sentence,
    )
    run_training(lambda on_event: train_mlm(sources, out, settings, on_event), out, json, digits=2)


def _loop(
    loop: "LoopSettings",
    epochs: float | None,
    learning_rate: float | None,
    max_steps: int | None,
    patience: int | None,
    seed: int,
) -> "LoopSettings":
    given: dict[str, Any] = {
        "epochs": epochs,
        "learning_rate": learning_rate,
        "max_steps": max_steps,
        "patience": patience,
    }
    return replace(loop, seed=seed, **{name: value for name, value in given.items() if value is not None})


def run_training(
    train: Callable[[Any], "TrainingResult"],
    out: Path,
    json: bool,
    *,
    parts: Sequence[str] = ("model",),
    digits: int = 3,
) -> None:
    """Trains with a progress bar and says what came of it.

    `train` takes what is to be called with each event; `parts` are the folders in `out` that are of use
    afterwards; scores have `digits` after the point.
    """

    def shown(scores: Mapping[str, float]) -> str:
        return ", ".join(f"{name} {value:.{digits}f}" for name, value in scores.items() if name != "step")

    with progress() as bars:
        stages = Stages(bars)

        def on_event(event: dict[str, Any]) -> None:
            stages.step("training", event)
            if event["event"] == "validate":
                names = sorted(event.keys() - {"event", "step", "kept"})
                note(f"step {event['step']}: {shown({name: event[name] for name in names})}")
            elif event["event"] == "data" and event.get("left out"):
                note(f"{event['left out']:,} questions without an answer are left out")

        result = train(on_event)
    if json:
        print_json({"out": str(out), "steps": result.steps, "epochs": result.epochs, "scores": result.scores})
        return
    scores = shown(result.scores) or "too few questions to hold any out"
    print(f"{' and '.join(str(out / part) for part in parts)}: {result.steps:,} steps, {scores}")
