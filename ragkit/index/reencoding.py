"""Another index of the same passages, with another encoder's vectors."""

from dataclasses import replace
from pathlib import Path

from ragkit.encoders.encoder import Encoder
from ragkit.index.checks import refuse_foreign, resolve_encoder
from ragkit.index.events import OnEvent, WriteReport
from ragkit.index.generations import Generations
from ragkit.index.lock import writer_lock
from ragkit.index.passages import PassageWriter
from ragkit.index.reading import GenerationReader
from ragkit.index.settings import settings_of
from ragkit.index.vector_cache import clean_cache
from ragkit.index.writing import CACHE, GenerationWriter


def reencode(
    index: str | Path, out: str | Path, encoder: str | Path | Encoder, on_event: OnEvent | None = None
) -> None:
    """Builds in `out` an index of the passages of `index`, cut as they are there, with `encoder`.

    The engine is chosen as `index`'s was, for an index that was planned from the same factory string; the
    hybrid is the default again, and nothing is promised of the new vectors. An index that is in `out` already
    is replaced when the new one is complete, and vectors in its cache of other encoders are dropped.

    Raises RagkitError where there is no index or no encoder, `out` is something else than an index, another
    process writes to it, or the disk is full.
    """
    out = Path(out)
    refuse_foreign(out)
    loaded = resolve_encoder(encoder)
    base = Generations(Path(index)).current()
    store = GenerationReader(base).store
    passport = loaded.passport()
    settings = replace(settings_of(base.manifest), passport=passport, fusion=None, promise=None, search=None)

    def copy(writer: PassageWriter) -> bool:
        writer.copy_live(store)
        return True

    out.mkdir(parents=True, exist_ok=True)
    generations = Generations(out)
    with writer_lock(out):
        GenerationWriter(generations, settings, lambda: loaded, WriteReport(), on_event).write(copy)
        generations.collect()
        clean_cache(out / CACHE, passport.fingerprint, passport.dimension, store.keys())
