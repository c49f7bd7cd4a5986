"""`ragkit index`: build, add, update, delete, compact, info, verify."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragkit.errors import RagkitError
from ragkit.runtime.precision import AUTO
from ragkit_cli.console import Stages, megabytes, note, print_json, progress, table
from ragkit_cli.options import DEFAULT_FOLDER, IndexArgument, Json, PrecisionOption, RuntimeOption, open_index
from ragkit_cli.plan import QuestionsOption, asked_of, plan, recall_line

if TYPE_CHECKING:
    from ragkit.corpus.splitting import Splitting
    from ragkit.retrieval.index import Index

app = typer.Typer(no_args_is_help=True)

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="DOCS...", help="Folders, globs, files, BEIR folders, hf:DATASET, demo: (the packaged text)."
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Refuse a file that cannot be read instead of skipping it.")
]


@app.command(epilog="Example: ragkit index build demo: --out indexes/demo")
def build(
    sources: Sources,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the index; indexes/NAME if left out.")
    ] = None,
    encoder: Annotated[
        str,
        typer.Option(
            "--encoder",
            help="packaged, a folder, a hub id, dpr:QUESTION,CONTEXT, or elmo:FOLDER[,attention].",
        ),
    ] = "packaged",
    engine: Annotated[
        str, typer.Option("--index", help="auto, a recipe (ragkit list engines), or a FAISS factory string.")
    ] = "auto",
    split: Annotated[
        str | None,
        typer.Option("--split", help="words, sentences, tokens or none; by the kind of source if left out."),
    ] = None,
    size: Annotated[int, typer.Option("--size", help="Most words (or tokens) of a passage.")] = 150,
    overlap: Annotated[
        int, typer.Option("--overlap", help="Words (or tokens) shared with the passage before.")
    ] = 30,
    lexical: Annotated[bool, typer.Option(help="Index words too, for lexical and hybrid search.")] = True,
    runtime: RuntimeOption = AUTO,
    precision: PrecisionOption = AUTO,
    strict: Strict = False,
    json: Json = False,
) -> None:
    """Build an index from documents. A build that was cut short goes on where it was."""
    from ragkit.index.checks import resolve_encoder
    from ragkit.index.incoming import check
    from ragkit.index.recent import remember
    from ragkit.retrieval.index import Index

    check(sources)  # before a model is loaded, which takes seconds
    out = out or DEFAULT_FOLDER / _name(sources[0])
    with progress() as bars:
        index = Index.build(
            sources, out, encoder=resolve_encoder(encoder, runtime, precision),
            splitting=_splitting(split, size, overlap), factory=engine, lexical=lexical, strict=strict,
            on_event=Stages(bars),
        )  # fmt: skip
    remember(out)
    _report(index, "built", json)


@app.command(epilog="Example: ragkit index add indexes/demo README.md")
def add(index: IndexArgument, sources: Sources, strict: Strict = False, json: Json = False) -> None:
    """Add documents. One that is there already is an error: update it instead."""
    opened = open_index(index)
    with progress() as bars:
        opened.add(sources, strict=strict, on_event=Stages(bars))
    _report(opened, "added to", json)


@app.command(epilog="Example: ragkit index update indexes/demo README.md")
def update(index: IndexArgument, sources: Sources, strict: Strict = False, json: Json = False) -> None:
    """Add documents, replacing those that are there under the same id; unchanged ones stay."""
    opened = open_index(index)
    with progress() as bars:
        opened.update(sources, strict=strict, on_event=Stages(bars))
    _report(opened, "updated", json)


@app.command(epilog="Example: ragkit index delete indexes/demo README.md")
def delete(
    index: IndexArgument,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of documents.")],
    json: Json = False,
) -> None:
    """Delete documents by id."""
    opened = open_index(index)
    with progress() as bars:
        deleted = opened.delete(ids, on_event=Stages(bars))
    unknown = opened.last_write.unknown if opened.last_write else []
    _report(opened, "deleted from", json)
    if unknown:
        raise RagkitError(
            f"{len(unknown)} of {len(unknown) + deleted} ids are not in {opened.path}: "
            f"{', '.join(unknown[:5])}"
        )


@app.command(epilog="Example: ragkit index compact indexes/demo")
def compact(index: IndexArgument, json: Json = False) -> None:
    """Drop what was deleted from the disk and build the vector engine anew."""
    opened = open_index(index)
    with progress() as bars:
        opened.compact(on_event=Stages(bars))
    _report(opened, "compacted", json)


@app.command(epilog="Example: ragkit index info indexes/demo --json")
def info(
    index: Annotated[
        str | None, typer.Argument(metavar="INDEX", help="The index built last if left out.")
    ] = None,
    json: Json = False,
) -> None:
    """What an index holds, how it was made and what it takes up."""
    found = asdict(open_index(index).info())
    if json:
        print_json(found)
        return
    splitting, fusion = found["splitting"], found["fusion"]
    engine = " ".join([found["factory"], *(f"{name}={value}" for name, value in found["search"].items())])
    seconds = ", ".join(f"{stage} {value:.1f}" for stage, value in found["seconds"].items())
    rows = [
        ("path", str(found["path"])),
        ("generation", f"{found['generation']}, written {found['created']} by ragkit {found['ragkit']}"),
        ("encoder", f"{found['encoder']}, {found['dimension']} dimensions, {found['similarity']}"),
        *([("computed", _computed(found["computed"]))] if found["computed"] else []),
        ("vectors", f"{engine}, {found['bytes_a_vector']:.0f} bytes each"),
        ("promise", _promise(found["promise"], found["counts"]["passages"])),
        ("lexical", "BM25" if found["lexical"] else "none"),
        ("hybrid", "tuned to {questions} questions".format(**fusion) if fusion else "the default"),
        ("splitting", "{size} {unit}, {overlap} shared".format(**splitting) if splitting else "by source"),
        *((name.replace("_", " "), f"{value:,}") for name, value in found["counts"].items()),
        ("size", f"{megabytes(found['size'])}, cache {megabytes(found['cache_size'])}"),
        ("seconds", seconds),
    ]
    table(["", ""], rows)


@app.command(epilog="Example: ragkit index verify indexes/demo")
def verify(
    index: Annotated[
        str | None, typer.Argument(metavar="INDEX", help="The index built last if left out.")
    ] = None,
    recall: Annotated[
        bool, typer.Option("--recall", help="Measure the engine's recall@10 too, against what was promised.")
    ] = False,
    questions: QuestionsOption = None,
    json: Json = False,
) -> None:
    """Read everything: checksums, offsets into the documents, counts, vectors, and the encoder."""
    if questions is not None and not recall:
        raise typer.BadParameter("goes with --recall", param_hint="--questions")
    opened = open_index(index)
    problems = opened.verify()
    check = None
    if recall and not problems:
        from ragkit.index.planning.promise import check_recall

        check = check_recall(opened, asked_of(opened, questions))
    if json:
        content = {"path": str(opened.path), "passages": len(opened), "problems": problems}
        print_json(content | ({"recall": asdict(check)} if check else {}))
    elif not problems:
        print(f"{opened.path}: {len(opened):,} passages, no problem found")
        if check:
            print(recall_line(check))
    else:
        print("\n".join(problems))
    if problems:
        raise RagkitError(f"{opened.path}: {len(problems)} problem(s) found; build the index again")
    if check and check.problem:
        raise RagkitError(f"{opened.path}: {check.problem}")


app.command(epilog="Example: ragkit index plan indexes/demo --ram 2GB --recall 0.95 --latency 10ms")(plan)


def _promise(promise: dict[str, Any] | None, passages: int) -> str:
    if promise is None:
        return "none"
    now = f", now {passages:,}" if passages > promise["passages"] else ""
    return (
        f"recall@10 {promise['recall']:g}, expected {promise['expected']:.3f}, of {promise['passages']:,} "
        f"passages{now}"
    )


def _computed(computed: str) -> str:
    """`openvino bf16 2f0c...` -> `by openvino in bf16, graph 2f0c...`."""
    runtime, precision, *graph = computed.split()
    return f"by {runtime} in {precision}{''.join(f', graph {name}' for name in graph)}"


def _name(source: str) -> str:
    """`docs/handbook/` -> `handbook`, `papers/*.pdf` -> `papers`, `demo:` -> `demo`."""
    fixed = source.rstrip("/").split("*")[0].rstrip("/:")
    name = Path(fixed.removeprefix("hf:")).resolve().name if fixed else Path.cwd().name
    return name.split(".")[0] or "index"


def _splitting(unit: str | None, size: int, overlap: int) -> "Splitting | None":
    from ragkit.corpus.splitting import Splitting

    if unit is None and (size, overlap) == (150, 30):
        return None
    return Splitting(unit or "words", size, overlap)  # type: ignore[arg-type]


def _report(index: "Index", done: str, json: bool) -> None:
    write = index.last_write
    assert write is not None
    if json:
        content: dict[str, Any] = asdict(write)
        content["path"], content["passages"] = str(index.path), len(index)
        print_json(content)
        return
    parts = [
        f"{value:,} {name}"
        for name, value in (
            ("added", write.added),
            ("replaced", write.replaced),
            ("unchanged", write.unchanged),
            ("deleted", write.deleted),
        )
        if value
    ]
    changed = ", ".join(parts) or "nothing changed"
    seconds = sum(write.seconds.values())
    print(
        f"{done} {index.path}: documents {changed}; {len(index):,} passages, {write.encoded:,} encoded, "
        f"{seconds:.1f} s"
    )
    if write.skipped:
        note(f"{len(write.skipped)} file(s) skipped:")
        for skipped in write.skipped[:10]:
            note(f"  {skipped}")
        if len(write.skipped) > 10:
            note(f"  and {len(write.skipped) - 10} more")
