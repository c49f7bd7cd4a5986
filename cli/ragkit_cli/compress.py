"""`ragkit compress`: an index or a model made smaller, and what that costs."""

from collections.abc import Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragkit.errors import RagkitError
from ragkit_cli.console import Stages, megabytes, note, print_json, progress, table
from ragkit_cli.evaluate import load_limited
from ragkit_cli.options import Json, index_path
from ragkit_cli.train import Seed

if TYPE_CHECKING:
    from ragkit.corpus.questions import QuestionSet
    from ragkit.evaluation.statistics import Comparison, Estimate
    from ragkit.index.stored import StoredIndex
    from ragkit.training.compression.indexes import Asked
    from ragkit.training.compression.models import ModelRow
    from ragkit.training.compression.ways import Measured

ENGINES = ("sq8", "sq4", "pq", "rabitq")
VECTORS = ("similarity", "pca")
TOWERS = ("ffn", "layers")
MODELS = ("int8", "int4", "sparse", "ffn", "heads", "layers")
ROLES = ("encoder", "reader", "reranker", "generator")
TEXTS = 1000
"""Passages that a model learns from and is compared by."""


def compress(
    what: Annotated[
        str, typer.Argument(metavar="INDEX|MODEL", help="An index, a model's folder or hub id, or packaged.")
    ],
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            help=f"Index: {', '.join((*ENGINES, *VECTORS))}; left out: all are compared and none is built; "
            f"{', '.join(TOWERS)}: its questions' encoder alone. Model: {', '.join(MODELS)}.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the smaller model, or of an index of other vectors."),
    ] = None,
    role: Annotated[
        str | None, typer.Option("--as", help=f"What the model is: {', '.join(ROLES)}.", show_default=False)
    ] = None,
    size: Annotated[int, typer.Option("--size", min=1, help="Numbers a vector: similarity, pca.")] = 192,
    questions: Annotated[
        Path | None,
        typer.Option(
            "--questions",
            help="Data set that judges the result: BEIR folder, SQuAD or DPR JSON. Left out: an index by "
            "sentences of it, a model by how far it agrees with the model as it was.",
        ),
    ] = None,
    split: Annotated[str | None, typer.Option("--split", help="Of the questions.")] = None,
    keep: Annotated[
        float, typer.Option("--keep", help="Share that stays: sparse, ffn, heads, layers.")
    ] = 0.5,
    steps: Annotated[
        int, typer.Option("--steps", min=0, help="Of training towards the model as it was; int8, int4: QAT.")
    ] = 0,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="Of a model's questions, evenly spread.")
    ] = 300,
    texts: Annotated[
        str, typer.Option("--texts", help="Documents that a model learns from and is compared by.")
    ] = "demo:",
    batch: Annotated[int, typer.Option("--batch", min=1, help="Texts a step.")] = 16,
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="Peak rate.")] = 5e-5,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Make an index or a model smaller, and print what it costs beside the cheapest baselines.

    Example: ragkit compress indexes/handbook --to sq8
    """
    training = {"keep": keep, "steps": steps, "batch": batch, "learning_rate": learning_rate, "seed": seed}
    path = index_path(what)
    if (path / "current.json").is_file():
        if to is not None and to in TOWERS:
            _question_tower(path, to, training, out, questions, split, json)
        else:
            _index(path, to, out, size, questions, split, json)
    else:
        asked = None if questions is None else load_limited(str(questions), split, limit)
        _model(what, to or "int8", training, out, role, asked, texts, json)


def _index(
    path: Path, to: str | None, out: Path | None, size: int, data: Path | None, split: str | None, json: bool
) -> None:
    from ragkit.retrieval.index import Index
    from ragkit.training.compression.indexes import compared, compress_engine, compress_vectors

    if to is not None and to not in (*ENGINES, *VECTORS):
        takes = ", ".join((*ENGINES, *VECTORS, *TOWERS))
        raise typer.BadParameter(f"an index takes {takes}", param_hint="--to")
    if to in VECTORS and out is None:
        raise typer.BadParameter(f"{to} makes vectors of its own: name a folder for them", param_hint="--out")
    if to in ENGINES and out is not None:
        raise typer.BadParameter(f"{to} changes the index's engine in place", param_hint="--out")
    index = Index.open(path)
    with progress() as bars:
        stages = Stages(bars)
        asked = _asked(index, data, split)
        found = compared(index, asked, size, on_event=partial(stages.step, "learning", digits=4))
        built = None
        if to is not None:
            chosen = _chosen(found, to)
            if out is None:
                compress_engine(index, chosen, asked, stages)
                built = str(path)
            else:
                compress_vectors(index, chosen, out, asked, stages)
                built = str(out / "index")
    if json:
        print_json({"index": str(path), "asked": asked.name, "ways": list(map(_way, found)), "built": built})
        return
    note(f"{path}: {len(index):,} passages, {len(asked.vectors):,} {asked.name} asked")
    head = ["way", "bytes a vector", "MB", "recall@10", "difference to exact", "p50 ms"]
    table(head, [_cells(one) for one in found])
    print(f"built {built} with {chosen.way.name}" if built else "nothing built: choose with --to")


def _asked(index: "StoredIndex", data: Path | None, split: str | None) -> "Asked":
    from ragkit.training.compression.indexes import Asked, sentences

    if data is None:
        return sentences(index)
    name, questions, relevant = _judging(index, data, split)
    return Asked(name, index.encoder.encode_questions(questions), relevant)


def _judging(index: "StoredIndex", data: Path, split: str | None) -> tuple[str, list[str], list[list[int]]]:
    """Questions of a data set with the positions of their relevant passages, and what to call them."""
    from ragkit.corpus.questions import load_questions
    from ragkit.training.compression.indexes import relevant_positions

    loaded = load_questions(data, split)
    questions = [question for question in loaded.questions if question.relevant]
    relevant = relevant_positions(index, [list(question.relevant) for question in questions])
    kept = [number for number, names in enumerate(relevant) if names]
    if not kept:
        raise RagkitError(f"{data}: none of its questions has a relevant passage in the index {index.path}")
    texts = [questions[number].text for number in kept]
    return f"questions of {loaded.name}", texts, [relevant[number] for number in kept]


def _question_tower(
    path: Path,
    how: str,
    training: dict[str, Any],
    out: Path | None,
    data: Path | None,
    split: str | None,
    json: bool,
) -> None:
    if out is None:
        raise typer.BadParameter("name a folder for the encoder", param_hint="--out")
    from ragkit.retrieval.index import Index
    from ragkit.training.compression.models import CompressionSettings, named
    from ragkit.training.compression.question_tower import (
        JUDGED,
        compress_question_tower,
        measured,
        stretches,
    )

    settings = CompressionSettings(how=how, **training)  # type: ignore[arg-type]
    index = Index.open(path)
    if data is None:
        name, relevant = "stretches of its passages", None
        questions = stretches(index, seed=1, count=JUDGED)
    else:
        name, questions, relevant = _judging(index, data, split)
    with progress() as bars:
        on_event = partial(Stages(bars).step, "learning", digits=4)
        model = compress_question_tower(index, out, settings, on_event=on_event)
        rows = measured(index, model, settings, questions, relevant)
    command = f"ragkit index adopt {path} {model}"
    if json:
        found = {"model": str(model), "how": named(settings), "asked": name, "rows": list(map(_row, rows))}
        print_json({**found, "adopt": command})
        return
    note(f"{path}: {len(questions):,} {name} asked")
    head = ["questions' encoder", "size", AGREEMENT["encoder"], "recall@10", "difference", "p50 ms"]
    table(head, [_model_cells(row) for row in rows])
    print(f"{model}: {named(settings)}; {command} takes it")


def _chosen(found: "Sequence[Measured]", to: str) -> "Measured":
    # Of PCA the one that is built is the better, uncentred one, which is a layer of the encoder, too.
    fitting = [
        one for one in found if one.way.name.startswith(to) and (one.way.matrix is None) == (to in ENGINES)
    ]
    return fitting[0]


def _cells(one: "Measured") -> list[str]:
    return [
        one.way.name,
        f"{one.bytes_a_vector}",
        f"{one.size / 1e6:.2f}",
        str(one.recall),
        _gain(one.difference),
        f"{1000 * one.p50:.2f}",
    ]


def _way(one: "Measured") -> dict[str, Any]:
    return {
        "way": one.way.name,
        "bytes_a_vector": one.bytes_a_vector,
        "bytes": one.size,
        "recall@10": _estimate(one.recall),
        "difference": _estimate(one.difference.difference),
        "p50_ms": 1000 * one.p50,
    }


def _model(
    spec: str,
    how: str,
    training: dict[str, Any],
    out: Path | None,
    role: str | None,
    questions: "QuestionSet | None",
    texts: str,
    json: bool,
) -> None:
    if how not in MODELS:
        raise typer.BadParameter(f"a model takes {', '.join(MODELS)}", param_hint="--to")
    if role is not None and role not in ROLES:
        raise typer.BadParameter(f"{role!r} is not one of {', '.join(ROLES)}", param_hint="--as")
    if out is None:
        raise typer.BadParameter("name a folder for the smaller model", param_hint="--out")
    from ragkit.corpus.sources import read_documents
    from ragkit.corpus.splitting import split
    from ragkit.encoders.hub import model_folder
    from ragkit.evaluation.statistics import estimate
    from ragkit.training.compression.judging import judge_of
    from ragkit.training.compression.models import CompressionSettings, compress_model, examples_of, named
    from ragkit.training.compression.subject import PACKAGED, load_subject, role_of

    settings = CompressionSettings(how=how, **training)  # type: ignore[arg-type]
    if role is None:
        if spec == PACKAGED:
            raise typer.BadParameter("packaged is four models: say which", param_hint="--as")
        role = role_of(model_folder(spec))
    judge = None if questions is None else judge_of(role, questions)  # type: ignore[arg-type]
    passages = (passage.text for document in read_documents([texts]) for passage in split(document))
    examples = examples_of(list(islice(passages, TEXTS)), seed=settings.seed)
    with progress() as bars:
        on_event = partial(Stages(bars).step, "training", digits=4)
        subject = load_subject(spec, role)  # type: ignore[arg-type]
        rows = compress_model(subject, out, settings, examples, on_event, judge)
    baseline = None if judge is None else judge.baseline()
    if json:
        print_json(
            {
                "model": str(out / "model"),
                "how": named(settings),
                "rows": list(map(_row, rows)),
                "measure": None if judge is None else judge.measure,
                "baseline": baseline and {"name": baseline[0], **_estimate(estimate(baseline[1]))},
            }
        )
        return
    measured = [] if judge is None else [judge.measure, "difference"]
    table(["model", "size", AGREEMENT[role], *measured, "p50 ms"], [_model_cells(row) for row in rows])
    if judge is not None and baseline is not None:
        note(f"{baseline[0]}: {judge.measure} {estimate(baseline[1])}")
    print(f"{out / 'model'}: {named(settings)}; ragkit loads it wherever it takes a {role}")


AGREEMENT = {
    "encoder": "cosine to it",
    "reader": "same best span",
    "reranker": "pairs in the same order",
    "generator": "writes the same",
}


def _model_cells(row: "ModelRow") -> list[str]:
    cells = [row.name, megabytes(row.bytes), str(row.agreement)]
    if row.score is not None and row.difference is not None:
        cells += [str(row.score), _gain(row.difference)]
    return [*cells, f"{1000 * row.p50:.1f}"]


def _row(row: "ModelRow") -> dict[str, Any]:
    return {
        "name": row.name,
        "bytes": row.bytes,
        "agreement": _estimate(row.agreement),
        "score": row.score and _estimate(row.score),
        "difference": row.difference and _estimate(row.difference.difference),
        "p50_ms": 1000 * row.p50,
    }


def _gain(of: "Comparison") -> str:
    gain = of.difference
    return f"{gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"


def _estimate(of: "Estimate") -> dict[str, float]:
    return {"mean": of.mean, "low": of.low, "high": of.high}
