"""An index goes on with another question tower: its passages' vectors stay what they are."""

from pathlib import Path

from ragkit.encoders.encoder import Encoder
from ragkit.index.checks import refuse_other, resolve_encoder
from ragkit.index.events import OnEvent, WriteReport
from ragkit.index.generations import Generations
from ragkit.index.lock import writer_lock
from ragkit.index.passages import PassageWriter
from ragkit.index.reading import GenerationReader
from ragkit.index.writing import GenerationWriter, Settings


def adopt(index: str | Path, encoder: str | Path | Encoder, on_event: OnEvent | None = None) -> None:
    """From now on the index asks its questions with `encoder`, whose passages' vectors are those it holds.

    That is an encoder whose passage tower stayed as it was while its question tower was trained
    (`ragkit train dpr --towers frozen`). Nothing is encoded.

    Raises RagkitError where there is no index, no encoder, or its passages' vectors are others.
    """
    loaded = resolve_encoder(encoder)
    generations = Generations(Path(index))
    with writer_lock(Path(index)):
        _write(generations, loaded, on_event)
        generations.collect()


def _write(generations: Generations, encoder: Encoder, on_event: OnEvent | None) -> None:
    from ragkit.corpus.splitting import Splitting

    base = generations.current()
    refuse_other(encoder, base)
    manifest, store = base.manifest, GenerationReader(base).store
    splitting = None if manifest.splitting is None else Splitting(**manifest.splitting)
    settings = Settings(encoder.passport(), splitting, manifest.index, manifest.lexical)

    def copy(writer: PassageWriter) -> bool:
        writer.copy(store)
        return True

    GenerationWriter(generations, settings, lambda: encoder, WriteReport(), on_event).write(copy, base)
