"""`ragkit search`."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragkit_cli.console import escape, note, out, print_json
from ragkit_cli.options import (
    Filter,
    Json,
    K,
    ModeOption,
    Rerank,
    RerankDepth,
    RerankerModel,
    RerankPrecision,
    RerankRuntime,
    checked_mode,
    index_and_question,
    open_searched,
)

if TYPE_CHECKING:
    from ragkit.corpus.document import Passage
    from ragkit.retrieval.hit import Hit
    from ragkit.retrieval.index import Index

EXCERPT = 300
"""Characters of a passage that a list shows."""


def search(
    arguments: Annotated[
        list[str],
        typer.Argument(metavar="[INDEX] QUESTION", help="The index built last is searched if none is named."),
    ],
    k: K = 5,
    mode: ModeOption = "hybrid",
    filter: Filter = None,
    rerank: Rerank = None,
    reranker: RerankerModel = None,
    rerank_depth: RerankDepth = None,
    rerank_runtime: RerankRuntime = None,
    rerank_precision: RerankPrecision = None,
    json: Json = False,
) -> None:
    """Find the passages that fit a question best.

    Example: ragkit search indexes/demo "how do I continue an outer loop?" -k 3
    """
    name, question = index_and_question(arguments)
    index = open_searched(name, rerank, reranker, rerank_depth, rerank_runtime, rerank_precision)
    hits = index.search(question, k, mode=checked_mode(mode), filter=filter)
    if json:
        print_json({"question": question, "hits": [hit_json(hit) for hit in hits]})
        return
    if not hits:
        nothing_found(index, filter)
    for hit in hits:
        _print(hit)


def nothing_found(index: "Index", filter: str | None) -> None:
    """Says why there are no passages; to the terminal's other stream, so that a pipe stays clean."""
    if filter is None:
        note("the index holds no passage")
        return
    unknown = [
        f"; no document has a field {name}" + (f": did you mean {alike[0]}?" if alike else "")
        for name, alike in index.unknown_fields(filter).items()
    ]
    note(f"no passage passes the filter {filter!r}{''.join(unknown)}")


def hit_json(hit: "Hit") -> dict[str, Any]:
    return {"rank": hit.rank, "score": hit.score, **passage_json(hit.passage)}


def passage_json(passage: "Passage") -> dict[str, Any]:
    return {
        "id": passage.id,
        "document": passage.document_id,
        "start": passage.start,
        "end": passage.end,
        "title": passage.title,
        "text": passage.text,
        "metadata": passage.metadata,
    }


def where(passage: "Passage") -> str:
    """Which document, and which of its characters."""
    return f"{passage.document_id} [{passage.start}:{passage.end}]"


def excerpt(text: str, around: tuple[int, int] | None = None) -> str:
    """At most `EXCERPT` characters on one line, around a span where there is one."""
    start = 0 if around is None else max(0, (around[0] + around[1] - EXCERPT) // 2)
    start = min(start, max(0, len(text) - EXCERPT))
    part = " ".join(text[start : start + EXCERPT].split())
    return f"{'... ' if start else ''}{part}{' ...' if start + EXCERPT < len(text) else ''}"


def _print(hit: "Hit") -> None:
    if not sys.stdout.isatty():
        columns = (str(hit.rank), f"{hit.score:.4f}", where(hit.passage), " ".join(hit.passage.text.split()))
        print("\t".join(columns))
        return
    head = f"[bold]{hit.rank}[/]  {escape(hit.passage.title)}"
    out().print(f"{head}  [dim]{escape(where(hit.passage))}  score {hit.score:.3f}[/]")
    out().print(f"   {escape(excerpt(hit.passage.text))}\n")
