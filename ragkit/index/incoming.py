"""What comes into an index: sources to documents, documents to passages."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit.corpus.document import Document, Passage
from ragkit.index.events import Event, OnEvent, WriteReport

if TYPE_CHECKING:
    from ragkit.corpus.splitting import Splitting

Sources = str | Path | Sequence[str | Path] | Iterable[Document]
"""Where documents come from: what `read_documents` takes, or documents as they are."""

EVENT_EVERY = 100


def incoming(
    sources: Sources, strict: bool, report: WriteReport, on_event: OnEvent | None
) -> Iterator[Document]:
    """Document by document, telling `on_event`; what cannot be read goes to `report.skipped`."""
    count = 0
    for count, document in enumerate(_documents(sources, strict, report), 1):
        if on_event is not None and count % EVENT_EVERY == 1:
            on_event(Event("reading", count - 1, None, "documents"))
        yield document
    if on_event is not None:
        on_event(Event("reading", count, count, "documents"))


def cut(document: Document, splitting: "Splitting | None", tokenizer: Any) -> list[Passage]:
    """The document's passages; `tokenizer` serves a splitting by tokens."""
    from ragkit.corpus.splitting import split

    return split(document, splitting, tokenizer)


def named(sources: Sources, report: WriteReport) -> str:
    """The sources in an error message, with what was skipped of them."""
    if isinstance(sources, str | Path):
        text = str(sources)
    elif isinstance(sources, Sequence) and all(isinstance(source, str | Path) for source in sources):
        text = ", ".join(map(str, sources)) or "no sources"
    else:
        text = "the documents given"
    if report.skipped:
        text += f" ({len(report.skipped)} skipped, the first: {report.skipped[0]})"
    return text


def check(sources: Sources) -> None:
    """Raises RagkitError for a source that does not exist, before a model is loaded or a folder made."""
    from ragkit.corpus.sources import check_sources

    if isinstance(sources, str | Path):
        check_sources([sources])
    elif isinstance(sources, Sequence):
        check_sources([source for source in sources if isinstance(source, str | Path)])


def _documents(sources: Sources, strict: bool, report: WriteReport) -> Iterator[Document]:
    items: Iterator[Any] = iter([sources] if isinstance(sources, str | Path) else sources)
    first = next(items, None)
    if first is None or isinstance(first, Document):
        return (item for item in chain([first], items) if item is not None)
    from ragkit.corpus.sources import read_documents

    return read_documents([first, *items], strict=strict, on_skip=report.skipped.append)
