"""The index built anew while its passage tower is trained."""

import shutil
from collections.abc import Callable
from pathlib import Path

from accelerate import PartialState

from ragkit.index.generations import POINTER
from ragkit.index.reencoding import reencode
from ragkit.retrieval.index import Index
from ragkit.training.rag.retriever import Retriever
from ragkit.training.retrieval.towers import Towers


class Rebuild:
    """Gives the retriever of a step: the index in `out/index`, built with the towers as they are then.

    A run that goes on at a later step finds the index of that step by the name of its encoder,
    `out/towers/step-N`, so that it searches what a run that was not stopped would.

    Args:
        index: the passages.
        retriever: of an index.
    """

    def __init__(
        self, index: Index, towers: Towers, out: Path, retriever: Callable[[Index], Retriever]
    ) -> None:
        self._index, self._towers, self._retriever = index, towers, retriever
        self._out = out

    def __call__(self, step: int) -> Retriever:
        folder = (self._out / "towers" / f"step-{step:08d}").resolve()
        with PartialState().main_process_first():
            if self._built_with() != str(folder):
                self._towers.save(folder)
                self.build(folder)
                for other in folder.parent.iterdir():
                    if other != folder:
                        shutil.rmtree(other)
        return self._retriever(Index.open(self._out / "index"))

    def finish(self, encoder: Path) -> None:
        """Leaves in `out/index` the index of the towers that training ended with."""
        if self._built_with() != str(encoder.resolve()):
            self.build(encoder)
        shutil.rmtree(self._out / "towers", ignore_errors=True)

    def build(self, encoder: Path) -> None:
        reencode(self._index.path, self._out / "index", encoder)

    def _built_with(self) -> str | None:
        index = self._out / "index"
        return Index.open(index).manifest.passport.name if (index / POINTER).is_file() else None
