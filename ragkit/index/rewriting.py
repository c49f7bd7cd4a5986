"""The next generation of an index with the same passages and vectors, and other settings."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ragkit.encoders.encoder import Encoder
from ragkit.index.checks import refuse_other, resolve_encoder
from ragkit.index.events import OnEvent, WriteReport
from ragkit.index.generations import Generation, Generations
from ragkit.index.lock import writer_lock
from ragkit.index.manifest import Promise
from ragkit.index.passages import PassageWriter
from ragkit.index.reading import GenerationReader
from ragkit.index.recipe import Choice
from ragkit.index.settings import Settings, settings_of
from ragkit.index.writing import GenerationWriter


def adopt(index: str | Path, encoder: str | Path | Encoder, on_event: OnEvent | None = None) -> None:
    """From now on the index asks its questions with `encoder`, whose passages' vectors are those it holds.

    That is an encoder whose passage tower stayed as it was while its question tower was trained
    (`ragkit train dpr --towers frozen`). Nothing is encoded. The hybrid is the default again: what it was
    tuned to (`store_fusion`) were other vectors.

    Raises RagkitError where there is no index, no encoder, or its passages' vectors are others.
    """
    loaded = resolve_encoder(encoder)

    def change(base: Generation) -> Settings:
        refuse_other(loaded, base)
        return replace(settings_of(base.manifest), passport=loaded.passport(), fusion=None)

    _rewrite(Path(index), change, on_event)


def store_fusion(index: str | Path, fusion: dict[str, Any] | None) -> None:
    """From now on hybrid searches of the index go by these numbers; by the default's with None.

    Raises RagkitError where there is no index or the disk is full.
    """
    _rewrite(Path(index), lambda base: replace(settings_of(base.manifest), fusion=fusion))


def rebuild_engine(
    index: str | Path, choice: Choice, promise: Promise, on_event: OnEvent | None = None
) -> None:
    """Builds the index's vector engine anew from what was planned for it, and stores the promise with it.

    Both stay, whatever is added, until the index is built anew or planned again. Nothing is encoded.

    Raises RagkitError where there is no index, the passages are too few to train the engine on, or the disk
    is full.
    """

    def change(base: Generation) -> Settings:
        settings = settings_of(base.manifest)
        return replace(settings, index=choice.factory, search=choice.search, promise=promise)

    _rewrite(Path(index), change, on_event, extend=False)


def _rewrite(
    index: Path,
    change: Callable[[Generation], Settings],
    on_event: OnEvent | None = None,
    extend: bool = True,
) -> None:
    """Without `extend` the engine is built anew."""
    generations = Generations(index)
    with writer_lock(index):
        _write(generations, change, on_event, extend)
        generations.collect()  # out here, where nothing holds the generation before any more


def _write(
    generations: Generations,
    change: Callable[[Generation], Settings],
    on_event: OnEvent | None,
    extend: bool,
) -> None:
    base = generations.current()
    store = GenerationReader(base).store

    def copy(writer: PassageWriter) -> bool:
        writer.copy(store)
        return True

    def encoder() -> Encoder:
        raise AssertionError("a copy has nothing to encode")

    writer = GenerationWriter(generations, change(base), encoder, WriteReport(), on_event)
    writer.write(copy, base if extend else None)
