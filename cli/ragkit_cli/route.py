"""`ragkit route`: which label, or which index, a question is for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.errors import RagkitError
from ragkit_cli.console import note, print_json, table
from ragkit_cli.options import Json, index_path, open_index

if TYPE_CHECKING:
    pass

app = typer.Typer(no_args_is_help=True)

RouterArgument = Annotated[Path, typer.Argument(metavar="ROUTER", help="A folder of `ragkit route fit`.")]
SHOWN = 3


@app.command("fit")
def fit(
    examples: Annotated[
        Path, typer.Argument(metavar="EXAMPLES.jsonl", help='Lines of {"text": "...", "label": "..."}.')
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    index: Annotated[
        list[str] | None,
        typer.Option(
            "--index", metavar="LABEL=INDEX", help="Where `ask --router` sends a label's questions."
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option("--method", help="logistic, prototypes or matching.", show_default="logistic"),
    ] = None,
    encoder: Annotated[str, typer.Option("--encoder", help="packaged, a folder or a hub id.")] = "packaged",
    json: Json = False,
) -> None:
    """Learn from a few examples of each label which questions are for it, and which are for none.

    Questions labelled "none" set the threshold; without any, each label in turn plays the unknown one.

    Example: ragkit route fit examples.jsonl --out routers/help --index cards=indexes/cards
    """
    from dataclasses import asdict
    from typing import get_args

    from ragkit.encoders.loading import load_encoder
    from ragkit.retrieval.routing.classifiers import Method
    from ragkit.retrieval.routing.examples import labels_of, read_examples
    from ragkit.retrieval.routing.router import DEFAULT_METHOD, Router
    from ragkit.retrieval.routing.storage import save_router

    chosen = method or DEFAULT_METHOD
    if chosen not in get_args(Method):
        raise typer.BadParameter(
            f"{chosen!r} is not one of {', '.join(get_args(Method))}", param_hint="--method"
        )
    given = read_examples(examples)
    indexes = _indexes(index or [], labels_of(given), out)
    router = Router.fit(given, load_encoder(encoder), chosen)  # type: ignore[arg-type]
    router.indexes = indexes
    save_router(router, out)
    threshold = router.threshold
    if json:
        print_json(
            {"out": str(out), "method": router.method, "labels": list(router.labels), "indexes": indexes,
             "threshold": asdict(threshold)}
        )  # fmt: skip
        return
    source = 'labelled "none"' if threshold.from_none else "of a label taken out"
    print(f"{out}: {len(given):,} examples of {len(router.labels):,} labels, by {router.method}")
    refused, known, unknown = threshold.unknown_refused, threshold.known_refused, threshold.unknown
    note(
        f"below a similarity of {threshold.value:.3f} a question is for none: so are {known:.1%} of the "
        f"examples, each held out, and {refused:.1%} of {unknown:,} {source}"
    )


@app.command("ask")
def ask(
    router: RouterArgument,
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="- reads them, one a line.")],
    json: Json = False,
) -> None:
    """Say which label a question is for, or none.

    Example: ragkit route ask routers/help "my card has not come yet"
    """
    from ragkit.retrieval.routing.storage import load_router
    from ragkit_cli.ask import read_questions

    found = load_router(router)
    routes = found.ask(read_questions(question))
    if json:
        content = [
            {"question": route.question, "label": route.label, "similarity": route.similarity,
             "threshold": found.threshold.value, "probabilities": route.probabilities}
            for route in routes
        ]  # fmt: skip
        print_json(content if question == "-" else content[0])
        return
    for route in routes:
        best = list(route.probabilities.items())[:SHOWN]
        if question == "-":
            print(f"{route.label or 'none'}\t{route.similarity:.3f}\t{route.question}")
            continue
        print(route.label or "none")
        note(f"similarity {route.similarity:.3f}, threshold {found.threshold.value:.3f}")
        table(["label", "p"], [(label, f"{p:.3f}") for label, p in best])


def index_for(router: Path, question: str) -> Path | None:
    """The index that a router sends a question to; None for none."""
    from ragkit.retrieval.routing.storage import load_router

    loaded = load_router(router)
    route = loaded.ask([question])[0]
    if route.label is None:
        note(
            f"the nearest label, {next(iter(route.probabilities))!r}, has no example nearer than "
            f"{route.similarity:.3f}; the threshold is {loaded.threshold.value:.3f}"
        )
        return None
    path = loaded.index_of(route.label)
    note(f"{route.label}: {path}")
    return path


def _indexes(specs: list[str], labels: list[str], out: Path) -> dict[str, str]:
    """Label to index, as seen from the router's folder, so that both can move together."""
    import os

    indexes = {}
    for spec in specs:
        label, equals, name = spec.partition("=")
        if not (label and equals and name):
            raise typer.BadParameter(f"{spec!r} is not LABEL=INDEX", param_hint="--index")
        if label not in labels:
            raise RagkitError(
                f"--index {spec}: no example is labelled {label!r}; labels: {', '.join(labels)}"
            )
        open_index(name)
        indexes[label] = os.path.relpath(index_path(name), out)
    return indexes
