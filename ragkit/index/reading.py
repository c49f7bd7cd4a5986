"""One generation's parts, each loaded when it is first needed: a lexical search never reads the vectors."""

from functools import cached_property
from typing import TYPE_CHECKING

from ragkit.errors import RagkitError
from ragkit.index.filters import matching_rows
from ragkit.index.generations import Generation
from ragkit.index.lexical import FOLDER, LexicalIndex
from ragkit.index.passages import DELETED, DOCUMENTS, PASSAGES, PassageStore
from ragkit.index.vector_files import vector_file
from ragkit.index.vector_index import Ids

if TYPE_CHECKING:
    from ragkit.index.vector_index import VectorIndex

FILTERS_KEPT = 64


class GenerationReader:
    """Reads a generation. Properties raise RagkitError where the files behind them are damaged."""

    def __init__(self, generation: Generation):
        self.generation = generation
        self._matching: dict[str, Ids] = {}

    @cached_property
    def store(self) -> PassageStore:
        file = self.generation.file
        return PassageStore(file(DOCUMENTS), file(PASSAGES), file(DELETED))

    @cached_property
    def vectors(self) -> "VectorIndex":
        from ragkit.index.faiss_index import FaissIndex

        return FaissIndex.load(vector_file(self.generation))

    @cached_property
    def lexical(self) -> LexicalIndex:
        manifest = self.generation.manifest
        if not manifest.lexical:
            raise RagkitError(
                f"the index {self.generation.index} was built without its lexical part: "
                "search it with --mode dense, or build it again"
            )
        for name in manifest.files:
            if name.startswith(f"{FOLDER}/"):
                self.generation.file(name)
        return LexicalIndex(self.generation.folder / FOLDER, self.store.live_rows)

    def matching(self, expression: str) -> Ids:
        """The live rows that pass a filter, ascending, kept for the next question with the same filter."""
        if expression not in self._matching:
            rows = matching_rows(expression, self.store)
            if len(self._matching) >= FILTERS_KEPT:
                self._matching.pop(next(iter(self._matching)))
            self._matching[expression] = rows
        return self._matching[expression]
