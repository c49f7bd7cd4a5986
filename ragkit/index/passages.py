"""Documents and passages on disk: two Arrow files, memory-mapped, so that neither writing nor reading holds
the corpus in memory. Rows count from 0 and never change within a line of generations until `compact`."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ragkit.corpus.document import Document, Metadata, Passage
from ragkit.errors import RagkitError
from ragkit.index.table import Table, int64
from ragkit.index.vector_cache import KEY_BYTES, as_keys
from ragkit.index.vector_index import Ids

DOCUMENTS = "documents.arrow"
PASSAGES = "passages.arrow"
DELETED = "deleted.arrow"
FLUSH_CHARACTERS = 1 << 22
FLUSH_ROWS = 1 << 14

_DOCUMENT_SCHEMA = pa.schema(
    [("id", pa.string()), ("title", pa.string()), ("text", pa.string()), ("metadata", pa.string())]
)
_PASSAGE_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("document", pa.int64()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("text", pa.string()),
        ("key", pa.binary(KEY_BYTES)),
    ]
)
_DELETED_SCHEMA = pa.schema([("document", pa.int64())])


def passage_key(title: str, text: str) -> bytes:
    """What a passage's vector is found by: a hash of all of it that the encoder sees."""
    return hashlib.blake2b(f"{len(title)}:{title}{text}".encode(), digest_size=KEY_BYTES).digest()


def _as_json(metadata: Metadata) -> str:
    return json.dumps(metadata, sort_keys=True)


class PassageStore:
    """The passages of one generation, by row, and their documents, by document row."""

    def __init__(self, documents: Path, passages: Path, deleted: Path):
        """Raises RagkitError where a file is damaged."""
        self.documents = Table(documents)
        self.rows = Table(passages)
        gone = Table(deleted).numbers("document")
        self.live_documents = np.ones(len(self.documents), dtype=np.bool_)
        self.live_documents[gone] = False
        self.document_of = self.rows.numbers("document")
        """The document row of each passage row."""
        self.live = self.live_documents[self.document_of]
        """Whether each passage row is there for readers."""
        self.live_rows: Ids = np.flatnonzero(self.live)

    def __len__(self) -> int:
        """Live passages."""
        return len(self.live_rows)

    def passages(self, rows: Sequence[int] | Ids) -> list[Passage]:
        """In the order of `rows`; a row that comes twice is the same object. Raises IndexError where a row is
        not one of a live passage."""
        rows = np.asarray(rows, dtype=np.int64)
        wanted = np.array(list(dict.fromkeys(rows.tolist())), dtype=np.int64)
        there = (wanted >= 0) & (wanted < len(self.live))
        there[there] = self.live[wanted[there]]
        if not there.all():
            raise IndexError(f"no passage at row {wanted[~there][0]}")
        of = self.document_of[wanted]
        titled = zip(*self.documents.take(of, "id", "title", "metadata"), strict=True)
        texts = zip(*self.rows.take(wanted, "id", "text", "start", "end"), strict=True)
        found = {
            row: Passage(name, document, text, start, end, title, json.loads(metadata))
            for row, (document, title, metadata), (name, text, start, end) in zip(
                wanted.tolist(), titled, texts, strict=True
            )
        }
        return [found[row] for row in rows.tolist()]

    def document(self, row: int) -> Document:
        name, title, text, metadata = self.documents.row(row, "id", "title", "text", "metadata")
        return Document(name, text, title, json.loads(metadata))

    def holds(self, row: int, document: Document) -> bool:
        """Whether the document at a row is this one, word for word."""
        there = self.documents.row(row, "id", "title", "text", "metadata")
        return there == [document.id, document.title, document.text, _as_json(document.metadata)]

    def document_rows(self) -> dict[str, int]:
        """Live documents by id."""
        ids = self.documents.column("id").to_pylist()
        return {ids[row]: int(row) for row in np.flatnonzero(self.live_documents)}

    def rows_by_id(self) -> dict[str, list[int]]:
        """The live rows of each document, and of each passage by its own id, ascending."""
        passages, documents = self.rows.column("id").to_pylist(), self.documents.column("id").to_pylist()
        rows: dict[str, list[int]] = {}
        for row in self.live_rows.tolist():
            for name in {passages[row], documents[self.document_of[row]]}:
                rows.setdefault(name, []).append(row)
        return rows

    def encoder_inputs(self, rows: Ids) -> list[tuple[str, str]]:
        """(title, text) of passages, what `Encoder.encode_passages` takes."""
        (titles,) = self.documents.take(self.document_of[rows], "title")
        (texts,) = self.rows.take(rows, "text")
        return list(zip(titles, texts, strict=True))

    def texts(self) -> Iterator[str]:
        """Title and text of each live passage, in the order of `live_rows`: what lexical search reads."""
        titles = self.documents.column("title")
        start = 0
        for batch in self.rows.batches:
            keep = self.live[start : start + batch.num_rows]
            start += batch.num_rows
            documents = int64(batch.column("document"))[keep]
            if not len(documents):
                continue
            first = int(documents.min())
            near = titles.slice(first, int(documents.max()) - first + 1).to_pylist()
            texts = batch.column("text").filter(pa.array(keep)).to_pylist()
            for document, text in zip((documents - first).tolist(), texts, strict=True):
                yield f"{near[document]} {text}"

    def keys(self) -> pa.ChunkedArray:
        """The key of every passage row, deleted ones included."""
        return self.rows.column("key")


class PassageWriter:
    """Writes the documents and passages of a generation, a few megabytes at a time."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._files = [(folder / name).open("wb") for name in (DOCUMENTS, PASSAGES)]
        self._documents = pa.ipc.new_file(self._files[0], _DOCUMENT_SCHEMA)
        self._passages = pa.ipc.new_file(self._files[1], _PASSAGE_SCHEMA)
        self._deleted: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._next = 0
        self._clear()

    def copy(self, store: PassageStore) -> None:
        """Takes over all rows of a store, the deleted ones included, under their numbers. Call it first."""
        for batch in store.documents.batches:
            self._documents.write_batch(batch)
        for batch in store.rows.batches:
            self._passages.write_batch(batch)
        self._next = len(store.documents)
        self._deleted = np.flatnonzero(~store.live_documents)

    def copy_live(self, store: PassageStore) -> None:
        """Takes over the live rows alone, numbered anew. Call it first."""
        number = np.cumsum(store.live_documents) - 1
        start = 0
        for batch in store.documents.batches:
            keep = store.live_documents[start : start + batch.num_rows]
            start += batch.num_rows
            self._documents.write_batch(batch.filter(pa.array(keep)))
        start = 0
        for batch in store.rows.batches:
            keep = store.live[start : start + batch.num_rows]
            start += batch.num_rows
            rows = batch.filter(pa.array(keep))
            documents = pa.array(number[rows.column("document").to_numpy()])
            self._passages.write_batch(rows.set_column(1, _PASSAGE_SCHEMA.field(1), documents))
        self._next = int(store.live_documents.sum())

    def append(self, document: Document, passages: Sequence[Passage]) -> None:
        """Adds a document and what it was cut into."""
        try:
            f"{document.id}{document.title}{document.text}".encode()  # Arrow takes no lone surrogates
            self._document_rows.append(
                (document.id, document.title, document.text, _as_json(document.metadata))
            )
            for p in passages:
                key = passage_key(document.title, p.text)
                self._passage_rows.append((p.id, self._next, p.start, p.end, p.text, key))
        except (TypeError, ValueError) as error:  # UnicodeEncodeError is one
            raise RagkitError(
                f"document {document.id!r} cannot be stored ({error}): mend or remove it"
            ) from error
        self._next += 1
        self._characters += len(document.text)
        if self._characters > FLUSH_CHARACTERS or len(self._passage_rows) > FLUSH_ROWS:
            self._flush()

    def delete(self, documents: Sequence[int]) -> None:
        """Marks document rows as deleted."""
        self._deleted = np.union1d(self._deleted, np.asarray(documents, dtype=np.int64))

    def close(self) -> None:
        """Writes what is left and ends the files."""
        self._flush()
        for writer in (self._documents, self._passages):
            writer.close()
        for file in self._files:
            file.close()
        with (self._folder / DELETED).open("wb") as file, pa.ipc.new_file(file, _DELETED_SCHEMA) as writer:
            writer.write_batch(pa.record_batch([pa.array(self._deleted)], schema=_DELETED_SCHEMA))

    def abandon(self) -> None:
        """Lets go of the files without ending them."""
        for file in self._files:
            file.close()

    def _flush(self) -> None:
        if self._document_rows:
            rows = zip(*self._document_rows, strict=True)
            batch = [pa.array(c, type=f.type) for c, f in zip(rows, _DOCUMENT_SCHEMA, strict=True)]
            self._documents.write_batch(pa.record_batch(batch, schema=_DOCUMENT_SCHEMA))
        if self._passage_rows:
            *columns, keys = zip(*self._passage_rows, strict=True)
            batch = [pa.array(c, type=f.type) for c, f in zip(columns, _PASSAGE_SCHEMA, strict=False)]
            digests = np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(-1, KEY_BYTES)
            self._passages.write_batch(pa.record_batch([*batch, as_keys(digests)], schema=_PASSAGE_SCHEMA))
        self._clear()

    def _clear(self) -> None:
        self._document_rows: list[tuple[str, str, str, str]] = []
        self._passage_rows: list[tuple[str, int, int, int, str, bytes]] = []
        self._characters = 0
