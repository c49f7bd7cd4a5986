"""`ragkit embed`: texts to vectors."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.errors import RagkitError
from ragkit.runtime.precision import AUTO
from ragkit_cli.console import Stages, progress
from ragkit_cli.options import PrecisionOption, RuntimeOption

if TYPE_CHECKING:
    from ragkit.encoders.encoder import Encoder, Vectors

BATCH = 1024


def embed(
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT]...", help="Standard input, a text a line, if none.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", help="Texts, one a line.")] = None,
    encoder: Annotated[
        str,
        typer.Option(
            "--encoder",
            help="packaged, a folder, a hub id, dpr:QUESTION,CONTEXT, or elmo:FOLDER[,attention].",
        ),
    ] = "packaged",
    runtime: RuntimeOption = AUTO,
    precision: PrecisionOption = AUTO,
    questions: Annotated[
        bool, typer.Option("--questions", help="The texts are questions; passages if left out.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="A .npy file of shape (texts, dimensions), float32.")
    ] = None,
) -> None:
    """Turn texts into vectors: a JSON object a line with text and vector, or a matrix in a file.

    Example: ragkit embed "a river bank" "a savings bank" --encoder elmo:runs/elmo/model
    """
    from ragkit.encoders.loading import load_encoder

    if texts and file is not None:
        raise typer.BadParameter("goes not with texts as arguments", param_hint="--file")
    if out is not None and out.suffix != ".npy":
        raise typer.BadParameter(f"{out} must end in .npy", param_hint="--out")
    model = load_encoder(encoder, runtime, precision)
    given = _lines(file) if not texts else iter(texts)
    if out is None:
        for batch in _batches(given):
            for text, vector in zip(batch, _encode(model, batch, questions), strict=True):
                print(json.dumps({"text": text, "vector": [round(float(x), 6) for x in vector]},
                                 ensure_ascii=False))  # fmt: skip
        return
    vectors = _vectors(model, given, questions)
    _save(vectors, out)
    print(f"{out}: {len(vectors):,} vectors of {vectors.shape[1]} dimensions, {encoder}")


def _vectors(model: "Encoder", texts: Iterator[str], questions: bool) -> "Vectors":
    import numpy as np

    parts = []
    with progress() as bars:
        stages = Stages(bars)
        for batch in _batches(texts):
            parts.append(_encode(model, batch, questions))
            stages.show("embedding", sum(map(len, parts)), None, "texts")
    return np.concatenate(parts) if parts else np.empty((0, model.dimension), dtype=np.float32)


def _save(vectors: "Vectors", out: Path) -> None:
    """The file is there whole or not at all."""
    import numpy as np

    aside = out.with_name(f".writing-{out.name}")
    np.save(aside, vectors, allow_pickle=False)
    aside.replace(out)


def _encode(model: "Encoder", texts: Sequence[str], questions: bool) -> "Vectors":
    return model.encode_questions(texts) if questions else model.encode_passages([("", t) for t in texts])


def _lines(file: Path | None) -> Iterator[str]:
    """The lines of a file, or of standard input, without their ends; an empty line is an empty text."""
    if file is None:
        yield from (line.rstrip("\r\n") for line in sys.stdin)
        return
    try:
        with file.open(encoding="utf-8") as lines:
            yield from (line.rstrip("\r\n") for line in lines)
    except UnicodeDecodeError as error:
        raise RagkitError(f"{file} is not UTF-8 text: {error.reason} at byte {error.start}") from error


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(texts)
    while batch := list(islice(remaining, BATCH)):
        yield batch
