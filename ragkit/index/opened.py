"""An index on disk as it is read: one generation of it, each part loaded when it is first needed."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ragkit.corpus.document import Passage
from ragkit.encoders.encoder import Encoder, Vectors
from ragkit.errors import RagkitError
from ragkit.index.checks import encoder_of, refuse_other
from ragkit.index.events import WriteReport
from ragkit.index.filters import unknown_fields
from ragkit.index.generations import Generation, Generations
from ragkit.index.info import IndexInfo, describe
from ragkit.index.manifest import Manifest
from ragkit.index.reading import GenerationReader
from ragkit.index.vector_index import Ids, Scores

if TYPE_CHECKING:
    from ragkit.index.passage_vectors import PassageVectors


class OpenIndex:
    """One generation of an index, open for reading.

    Rows number the passages from 0. They stay what they are until the index is compacted; those of deleted
    passages are never given out again.
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
