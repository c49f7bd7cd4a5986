"""An index on disk: build it, open it, change it, look into it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ragkit.corpus.document import Document, Passage
from ragkit.encoders.choice import WORTH_MEASURING, fastest
from ragkit.encoders.encoder import Encoder, Vectors
from ragkit.errors import RagkitError
from ragkit.index.checks import encoder_of, refuse_foreign, refuse_other, resolve_encoder, tokenizer_of
from ragkit.index.events import OnEvent, WriteReport
from ragkit.index.filters import unknown_fields
from ragkit.index.generations import Generation, Generations
from ragkit.index.incoming import Sources, check, cut, incoming, named
from ragkit.index.info import IndexInfo, describe
from ragkit.index.lock import writer_lock
from ragkit.index.manifest import Manifest
from ragkit.index.passages import PassageStore, PassageWriter
from ragkit.index.reading import GenerationReader
from ragkit.index.recipe import AUTO, check_factory
from ragkit.index.settings import Settings, settings_of
from ragkit.index.vector_cache import clean_cache, known_fingerprints
from ragkit.index.vector_index import Ids, Scores
from ragkit.index.writing import CACHE, GenerationWriter

if TYPE_CHECKING:
    from ragkit.corpus.splitting import Splitting
    from ragkit.index.passage_vectors import PassageVectors


class StoredIndex:
    """One generation of an index, open for reading; its writing methods move it on to the next.

    Rows number the passages from 0. They stay what they are until `compact`; those of deleted passages are
    never given out again.
    """

    def __init__(self, path: Path, generation: Generation, encoder: Encoder | None = None):
        """Use `open` or `build`."""
        self.path = path
        self.last_write: WriteReport | None = None
        """What the last build, add, update, delete or compact of this object did."""
        self._encoder = encoder
        self._show(generation)

    @classmethod
    def open(cls, path: str | Path, encoder: Encoder | None = None) -> Self:
        """Opens the current generation; later ones do not touch it. Loads no model: see `encoder`.

        Raises RagkitError where there is no index at `path`, where it is damaged or made by a newer ragkit,
        and where `encoder` is not the one that it was built with.
        """
        generation = Generations(Path(path)).current()
        if encoder is not None:
            refuse_other(encoder, generation)
        return cls(Path(path), generation, encoder)

    @classmethod
    def build(
        cls,
        sources: Sources,
        out: str | Path,
        *,
        encoder: str | Path | Encoder = "packaged",
        splitting: "Splitting | None" = None,
        factory: str = AUTO,
        lexical: bool = True,
        strict: bool = False,
        on_event: OnEvent | None = None,
    ) -> Self:
        """Builds an index of `sources` (see `read_documents`; or documents themselves) in the folder `out`.

        Encodes what `out`'s cache does not hold, so that a build that was cut short goes on where it was.
        An index that is there already is replaced when the new one is complete. `factory` is "auto", a
        recipe's name or a FAISS factory string. An encoder that leaves open how it is computed is computed in
        the fastest way that serves (see `fastest`). Unreadable sources are skipped and listed in
        `last_write.skipped`, or, where `strict`, refused.

        Raises RagkitError where there is nothing to index, ids occur twice, FAISS does not know the factory
        string, `out` is something else than an index, another process writes to it, or the disk is full.
        """
        out = Path(out)
        refuse_foreign(out)
        check(sources)
        given = resolve_encoder(encoder)
        check_factory(factory, given.dimension)
        report = WriteReport()
        pieces = (
            (document, cut(document, splitting, tokenizer_of(given)))
            for document in incoming(sources, strict, report, on_event)
        )
        first = _first(pieces, WORTH_MEASURING)
        texts = [(part.title, part.text) for _, parts in first for part in parts]
        loaded = fastest(given, texts, known_fingerprints(out / CACHE))
        passport = loaded.passport()

        def fill(writer: PassageWriter) -> bool:
            passages = 0
            for document, parts in chain(first, pieces):
                writer.append(document, parts)
                passages += len(parts)
                report.added += 1
            if not passages:
                raise RagkitError(f"nothing to index: no text in {named(sources, report)}")
            return True

        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RagkitError(f"cannot make the folder {out}: {error.strerror or error}") from error
        generations = Generations(out)
        settings = Settings(passport, splitting, factory, lexical)
        with writer_lock(out):
            generations.collect()
            GenerationWriter(generations, settings, lambda: loaded, report, on_event).write(fill)
            index = cls(out, generations.current(), loaded)
            generations.collect()
        index.last_write = report
        return index

    def add(self, sources: Sources, *, strict: bool = False, on_event: OnEvent | None = None) -> None:
        """Adds documents. Raises RagkitError as `build` does, and where a document's id is taken."""
        self._put(sources, strict, on_event, replace=False)

    def update(self, sources: Sources, *, strict: bool = False, on_event: OnEvent | None = None) -> None:
        """Adds documents; one whose id is taken replaces the document that has it. Unchanged ones stay."""
        self._put(sources, strict, on_event, replace=True)

    def delete(self, document_ids: Iterable[str], *, on_event: OnEvent | None = None) -> int:
        """Deletes documents and returns how many; ids that are not there are in `last_write.unknown`."""

        def change(base: PassageStore, writer: PassageWriter, report: WriteReport) -> bool:
            known = base.document_rows()
            ids = list(dict.fromkeys(document_ids))
            report.unknown = [name for name in ids if name not in known]
            rows = [known[name] for name in ids if name in known]
            report.deleted = len(rows)
            if rows:
                writer.copy(base)
                writer.delete(rows)
            return bool(rows)

        return self._change(change, on_event).deleted

    def compact(self, *, on_event: OnEvent | None = None) -> None:
        """Drops what is deleted from the disk, numbers rows anew, builds the engine anew and clears the
        cache.

        With "auto" or a recipe the engine is chosen anew for the present size. Raises RagkitError as
        `build` does.
        """

        def change(base: PassageStore, writer: PassageWriter, report: WriteReport) -> bool:
            writer.copy_live(base)
            return True

        self._change(change, on_event, extend=False)

    def info(self) -> IndexInfo:
        """What it holds and what it takes up."""
        return describe(self._generation)

    def verify(self, *, encoder: bool = True) -> list[str]:
        """Reads everything and returns what is wrong, a line each: files, offsets, counts, vectors, and, with
        `encoder`, whether the encoder that the index names still is the one that built it."""
        from ragkit.index.verify import problems

        found = problems(self._generation)
        if encoder:
            try:
                _ = self.encoder
            except RagkitError as error:
                found.append(str(error))
        return found

    @property
    def manifest(self) -> Manifest:
        return self._generation.manifest

    @property
    def encoder(self) -> Encoder:
        """The encoder of its vectors, loaded on first use. Raises RagkitError where it is not the same any
        more."""
        if self._encoder is None:
            self._encoder = encoder_of(self._generation)
        return self._encoder

    def __len__(self) -> int:
        """Passages."""
        return self.manifest.counts.passages

    def passage(self, row: int) -> Passage:
        """Raises IndexError where there is no such row."""
        return self.passages([row])[0]

    def passages(self, rows: Sequence[int] | Ids) -> list[Passage]:
        """Raises IndexError where one of `rows` is not there."""
        return self._reader.store.passages(rows)

    def document_ids(self) -> set[str]:
        """Of the documents that are there, deleted ones left aside."""
        return set(self._reader.store.document_rows())

    def rows_by_id(self) -> dict[str, list[int]]:
        """The rows of each document, and of each passage by its own id."""
        return self._reader.store.rows_by_id()

    def texts(self) -> Iterator[str]:
        """Title and text of each passage, one after the other."""
        return self._reader.store.texts()

    def allowed(self, filter_expression: str | None) -> Ids | None:
        """The rows that pass a filter (see `filters`), ascending; None without one. Raises RagkitError for a
        filter that cannot be understood."""
        return None if filter_expression is None else self._reader.matching(filter_expression)

    def unknown_fields(self, filter_expression: str) -> dict[str, list[str]]:
        """The names in a filter that no document has a field of, each with the fields most like it."""
        return unknown_fields(filter_expression, self._reader.store)

    def dense_candidates(
        self, question_vectors: Vectors, k: int, allowed: Ids | None = None
    ) -> tuple[Scores, Ids]:
        """The k rows of highest inner product a question: (q, k) scores and rows, padded with -inf and -1.

        `allowed`, from the method of that name, is exact: min(k, len(allowed)) of these rows come back.
        """
        return self._reader.vectors.search(question_vectors, k, allowed)

    def lexical_candidates(
        self, questions: Sequence[str], k: int, allowed: Ids | None = None
    ) -> tuple[Scores, Ids]:
        """As `dense_candidates`, by BM25. Raises RagkitError where the index was built without `lexical`."""
        return self._reader.lexical.search(questions, k, allowed)

    def passage_vectors(self) -> "PassageVectors":
        """The passages' exact vectors, by row. Raises RagkitError where the index's cache lacks some."""
        from ragkit.index.passage_vectors import PassageVectors

        store = self._reader.store
        return PassageVectors(self.path, self.manifest, store.keys(), store.live_rows)

    def _show(self, generation: Generation) -> None:
        self._generation = generation
        self._reader = GenerationReader(generation)

    def _put(self, sources: Sources, strict: bool, on_event: OnEvent | None, replace: bool) -> None:
        def change(base: PassageStore, writer: PassageWriter, report: WriteReport) -> bool:
            known = base.document_rows()
            splitting = settings_of(self.manifest).splitting
            tokenizer = tokenizer_of(self.encoder) if splitting and splitting.unit == "tokens" else None
            replaced: list[int] = []
            writer.copy(base)
            for document in incoming(sources, strict, report, on_event):
                row = known.get(document.id)
                if row is None:
                    report.added += 1
                elif not replace:
                    raise RagkitError(
                        f"document {document.id!r} is in {self.path} already: update it instead"
                    )
                elif base.holds(row, document):
                    report.unchanged += 1
                    continue
                else:
                    replaced.append(row)
                writer.append(document, cut(document, splitting, tokenizer))
            report.replaced = len(replaced)
            if not (report.added or report.replaced or report.unchanged):
                raise RagkitError(f"nothing to add: no text in {named(sources, report)}")
            writer.delete(replaced)
            return bool(report.added or report.replaced)

        self._change(change, on_event)

    def _change(
        self,
        change: Callable[[PassageStore, PassageWriter, WriteReport], bool],
        on_event: OnEvent | None,
        extend: bool = True,
    ) -> WriteReport:
        """Writes the generation after the current one, which may be later than the one that this object
        shows.

        Without `extend` the engine is built anew and the cache is cleared of what no passage needs.
        """
        generations = Generations(self.path)
        report = WriteReport()
        with writer_lock(self.path):
            base = generations.current()
            if self._encoder is not None:
                refuse_other(self._encoder, base)
            self._show(base)
            store = self._reader.store
            writer = GenerationWriter(
                generations, settings_of(base.manifest), lambda: self.encoder, report, on_event
            )
            if writer.write(lambda target: change(store, target, report), base if extend else None):
                self._show(generations.current())
                del base, store  # with them goes the lock on the generation before
                generations.collect()
            if not extend:
                passport = self.manifest.passport
                clean_cache(
                    self.path / CACHE, passport.fingerprint, passport.dimension, self._reader.store.keys()
                )
        self.last_write = report
        return report


def _first(
    pieces: Iterator[tuple[Document, list[Passage]]], passages: int
) -> list[tuple[Document, list[Passage]]]:
    """Documents until they have so many passages."""
    found, count = [], 0
    for document, parts in pieces:
        found.append((document, parts))
        count += len(parts)
        if count >= passages:
            break
    return found
