"""Sources to documents: folders, globs, files, records, data sets, lazily, never all in memory."""

import glob
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

from ragkit.corpus.demo import demo_documents
from ragkit.corpus.document import Document
from ragkit.corpus.files import Unreadable, suffix
from ragkit.corpus.hub_data import read_hub
from ragkit.corpus.parsing import PARSERS, can_parse, parse_file
from ragkit.corpus.records import Located, read_jsonl, read_passages_tsv, read_squad
from ragkit.errors import RagkitError

OnSkip = Callable[["Skipped"], None]


@dataclass(frozen=True, slots=True)
class Skipped:
    """A source that could not be read, and why."""

    source: str
    reason: str

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


def read_documents(
    sources: Sequence[str | Path], *, strict: bool = False, on_skip: OnSkip | None = None
) -> Iterator[Document]:
    """The documents of all sources, lazily and in a fixed order.

    A source is a folder (all its .txt .md .rst .html .pdf .docx and .jsonl files, hidden ones and links
    that lead out of it left aside), a BEIR folder (one with `corpus.jsonl`), a glob, a file, `hf:DATASET` or
    `demo:`. Text, JSONL, TSV and JSON files may be gzipped. A file's document is called by its path from the
    folder, or from the glob's first folder, or by its name.

    What cannot be read is told to `on_skip`; with `strict` it raises. `RagkitError` is raised, too, for a
    source that does not exist, a broken record (file and line named), an id that comes twice (both places
    named), and when nothing at all could be read. In memory: one file or record, and 16 bytes for each id.
    """
    check_sources(sources)
    skipped: list[Skipped] = []

    def skip(found: Skipped) -> None:
        if strict:
            raise RagkitError(f"{found} (strict: nothing may be skipped)")
        if not skipped:
            skipped.append(found)  # the first is enough for the message below
        if on_skip is not None:
            on_skip(found)

    seen: set[bytes] = set()
    for document, place in _read_all(sources, skip):
        key = hashlib.blake2b(document.id.encode(errors="surrogateescape"), digest_size=16).digest()
        if key in seen:
            first = _first_place(sources, document.id)
            raise RagkitError(
                f"the id {document.id!r} comes twice: {first} and {place}; ids must differ "
                "(files take theirs from the folder given: give their common folder)"
            )
        seen.add(key)
        yield document
    if not seen:
        named = ", ".join(map(str, sources)) or "no sources given"
        why = f"; {skipped[0]}" if skipped else f"; readable are {' '.join(PARSERS)} and .jsonl"
        raise RagkitError(f"nothing to read in {named}{why}")


def check_sources(sources: Sequence[str | Path]) -> None:
    """Raises `RagkitError` for a source that does not exist: early, before work on the others."""
    for source in map(str, sources):
        _check(source)


def _check(source: str) -> None:
    if source == "demo:" or source.startswith("hf:") or os.path.lexists(source):
        return
    if not glob.has_magic(source):
        raise RagkitError(f"{source}: no such file or folder")
    if next(glob.iglob(source, recursive=True), None) is None:
        raise RagkitError(f"{source}: no file matches")


def _read_all(sources: Sequence[str | Path], skip: OnSkip) -> Iterator[Located]:
    for source in map(str, sources):
        path = Path(source)
        if source == "demo:":
            yield from ((document, f"demo:{document.id}") for document in demo_documents())
        elif source.startswith("hf:"):
            yield from read_hub(source.removeprefix("hf:"))
        elif path.is_dir():
            corpus = beir_corpus(path)
            files = iter([corpus]) if corpus else _walk(path, skip)
            yield from _read_files(files, path, skip)
        elif os.path.lexists(source):
            yield from _read_files(iter([path]), path.parent, skip)
        else:
            yield from _read_files(_glob(source, skip), _fixed_folder(source), skip)


def beir_corpus(folder: Path) -> Path | None:
    """The corpus of a BEIR folder, None where the folder is none."""
    candidates = (folder / "corpus.jsonl", folder / "corpus.jsonl.gz")
    return next((path for path in candidates if path.is_file()), None)


def _read_files(files: Iterator[Path], folder: Path, skip: OnSkip) -> Iterator[Located]:
    for path in files:
        try:
            yield from _read_file(path, path.relative_to(folder).as_posix())
        except Unreadable as error:
            skip(Skipped(str(error.path), error.reason))


def _read_file(path: Path, name: str) -> Iterator[Located]:
    kind = suffix(path)
    if kind == ".jsonl":
        yield from read_jsonl(path, name)
    elif kind == ".tsv":
        yield from read_passages_tsv(path)
    elif kind == ".json":
        yield from read_squad(path)
    else:
        yield replace(parse_file(path), id=name), str(path)


def _walk(folder: Path, skip: OnSkip) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        skip(Skipped(str(error.filename), f"cannot be read ({error.strerror})"))

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(parent, name) for name in sorted(names) if not name.startswith(".")):
            if (can_parse(path) or suffix(path) == ".jsonl") and _belongs(path, folder, skip):
                yield path


def _glob(pattern: str, skip: OnSkip) -> Iterator[Path]:
    folder = _fixed_folder(pattern)
    for path in map(Path, sorted(glob.iglob(pattern, recursive=True))):
        # Links to folders are followed by `glob`, in circles too; by us they are not.
        followed = any((folder / parent).is_symlink() for parent in path.relative_to(folder).parents[:-1])
        if not followed and not path.is_dir() and _belongs(path, folder, skip):
            yield path


def _fixed_folder(pattern: str) -> Path:
    """The part of a glob before its first wildcard: `papers` of `papers/**/*.pdf`."""
    return Path(*takewhile(lambda part: not glob.has_magic(part), Path(pattern).parts))


def _belongs(path: Path, folder: Path, skip: OnSkip) -> bool:
    """Whether the path is a plain file and, links followed, inside the folder."""
    if not path.resolve().is_relative_to(folder.resolve()):
        skip(Skipped(str(path), "a link that leads out of the folder"))
    elif not path.is_file():
        skip(Skipped(str(path), "not a plain file, or a link to nothing"))
    else:
        return True
    return False


def _first_place(sources: Sequence[str | Path], document_id: str) -> str:
    """Where the id came first: read again, since keeping every place would cost memory always."""
    everything = _read_all(sources, lambda _: None)
    return next(place for document, place in everything if document.id == document_id)
