"""Options that several commands share, and how the user names an index."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.errors import RagkitError
from ragkit.runtime.precision import AUTO

if TYPE_CHECKING:
    from ragkit.retrieval.index import Index, Mode

DEFAULT_FOLDER = Path("indexes")
"""Where indexes go that are named without a folder."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Filter = Annotated[
    str | None,
    typer.Option(
        "--filter", help='Only passages whose metadata pass, such as: lang == "en" and year >= 2020'
    ),
]
ModeOption = Annotated[str, typer.Option("--mode", help="hybrid, dense or lexical.")]
Rerank = Annotated[
    bool | None,
    typer.Option(
        "--rerank/--no-rerank",
        help="Read the best passages again, question and passage together.",
        show_default="no-rerank",
    ),
]
RerankerModel = Annotated[
    str | None,
    typer.Option("--reranker", help="packaged, a folder, or a hub id; implies --rerank."),
]
RerankDepth = Annotated[
    int | None,
    typer.Option("--rerank-depth", min=1, help="Passages read again; implies --rerank.", show_default="30"),
]
RerankRuntime = Annotated[
    str | None,
    typer.Option(
        "--rerank-runtime", help="auto, torch, openvino or onnx; implies --rerank.", show_default="auto"
    ),
]
RerankPrecision = Annotated[
    str | None,
    typer.Option(
        "--rerank-precision", help="auto, fp32, bf16 or int8; implies --rerank.", show_default="auto"
    ),
]
RuntimeOption = Annotated[str, typer.Option("--runtime", help="auto, torch, openvino or onnx.")]
PrecisionOption = Annotated[str, typer.Option("--precision", help="auto, fp32, bf16 or int8.")]
K = Annotated[int, typer.Option("-k", help="Passages a question.")]
IndexArgument = Annotated[
    str, typer.Argument(metavar="INDEX", help="Path of an index, or its name in indexes/.")
]


def open_index(name: str | None) -> "Index":
    """The index at a path, of a name in indexes/, or, without a name, the one built last."""
    from ragkit.retrieval.index import Index

    return Index.open(index_path(name))


def open_searched(
    name: str | None,
    rerank: bool | None,
    reranker: str | None,
    depth: int | None,
    runtime: str | None,
    precision: str | None,
) -> "Index":
    """As `open_index`, with the reranker that the options ask for."""
    index = open_index(name)
    implied = any(option is not None for option in (reranker, depth, runtime, precision))
    if rerank is False and implied:
        raise typer.BadParameter("goes with no other option of the reranker", param_hint="--no-rerank")
    if rerank or implied:
        from ragkit.retrieval.reranking import DEPTH, PACKAGED, load_reranker

        index.reranker = load_reranker(
            reranker or PACKAGED, depth or DEPTH, runtime or AUTO, precision or AUTO
        )
    return index


def index_path(name: str | None) -> Path:
    if name is None:
        from ragkit.index.recent import recall

        return recall()
    path = Path(name)
    in_folder = DEFAULT_FOLDER / name
    return in_folder if not path.exists() and in_folder.is_dir() else path


def index_and_question(arguments: list[str]) -> tuple[str | None, str]:
    """`QUESTION` or `INDEX QUESTION`."""
    if len(arguments) > 2:
        raise RagkitError(
            f"{len(arguments)} arguments, but only INDEX and QUESTION are taken: put the question in quotes"
        )
    *index, question = arguments
    return (index[0] if index else None), question


def checked_mode(mode: str) -> "Mode":
    if mode not in ("hybrid", "dense", "lexical"):
        raise typer.BadParameter(f"{mode!r} is not one of hybrid, dense, lexical", param_hint="--mode")
    return mode  # type: ignore[return-value]


def numbers(text: str) -> list[int]:
    """`1,5,20` as whole numbers above 0."""
    try:
        values = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a list of whole numbers like 1,5,20") from error
    if min(values) < 1:
        raise typer.BadParameter(f"{min(values)} in {text!r} is below 1")
    return values
