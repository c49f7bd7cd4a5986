"""An index on disk: build it, change it."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ragkit.corpus.document import Document, Passage
from ragkit.encoders.choice import WORTH_MEASURING, fastest
from ragkit.encoders.encoder import Encoder
from ragkit.errors import RagkitError
from ragkit.index.checks import refuse_foreign, refuse_other, resolve_encoder, tokenizer_of
from ragkit.index.events import OnEvent, WriteReport
from ragkit.index.generations import Generations
from ragkit.index.incoming import Sources, check, cut, incoming, named
from ragkit.index.lock import writer_lock
from ragkit.index.opened import OpenIndex
from ragkit.index.passages import PassageStore, PassageWriter
from ragkit.index.recipe import AUTO, check_factory
from ragkit.index.settings import Settings, settings_of
from ragkit.index.vector_cache import clean_cache, known_fingerprints
from ragkit.index.writing import CACHE, GenerationWriter

if TYPE_CHECKING:
    from ragkit.corpus.splitting import Splitting


class StoredIndex(OpenIndex):
    """An open index whose writing methods move it on to the next generation."""

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
