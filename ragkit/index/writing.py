"""How a new generation comes to be: documents to passages, passages to vectors, vectors to an engine.

Whatever the size of the corpus, memory holds a window of passages and the vectors of one chunk, besides 16
bytes of key a passage, the vocabulary, and what the FAISS engine keeps there (see `inverted_lists`).
"""

import errno
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from ragkit.encoders.encoder import Encoder
from ragkit.errors import RagkitError
from ragkit.index.events import Event, OnEvent, Stage, WriteReport
from ragkit.index.generations import Generation, Generations
from ragkit.index.manifest import Counts, Manifest
from ragkit.index.passages import DELETED, DOCUMENTS, PASSAGES, PassageStore, PassageWriter
from ragkit.index.recipe import Choice
from ragkit.index.settings import Settings
from ragkit.index.vector_cache import VectorCache
from ragkit.index.vector_files import VECTORS, vector_file
from ragkit.index.vector_index import Ids

CACHE = "cache"
WINDOW = 4096
"""Passages that are sorted by length together, so that a batch of the encoder pads little."""
ENCODED_AT_ONCE = 256
"""Passages that go to the encoder in one call, then to the disk: what a crash can cost at most."""


class GenerationWriter:
    """Writes one generation and publishes it. The caller holds the writer's lock."""

    def __init__(
        self,
        generations: Generations,
        settings: Settings,
        encoder: Callable[[], Encoder],
        report: WriteReport,
        on_event: OnEvent | None = None,
    ):
        """`encoder` is called only when there is something to encode."""
        self._generations = generations
        self._settings = settings
        self._encoder = encoder
        self._report = report
        self._on_event = on_event or (lambda event: None)

    def write(self, fill: Callable[[PassageWriter], bool], base: Generation | None = None) -> bool:
        """`fill` puts rows into the new generation and says whether there is something to publish.

        With `base`, `fill` begins by copying its rows, and its vector index is extended; without, one is
        built. Returns what `fill` returned. Raises RagkitError where the disk is full, ids occur twice, or
        the engine cannot be made; the old generation stays as it was.
        """
        folder: Path | None = None
        try:
            folder = self._generations.begin()
            with self._stage("reading"):
                store = self._read(fill, folder)
            if store is None:
                shutil.rmtree(folder)
                return False
            cached = (
                0 if base is None else base.manifest.counts.passages + base.manifest.counts.deleted_passages
            )
            rows = store.live_rows[np.searchsorted(store.live_rows, cached) :]
            if base is None:
                self._refuse_too_few(len(rows))
            cache, positions = self._encode(store, rows)
            with self._stage("vectors"):
                choice = self._write_vectors(folder, store, rows, cache, positions, base)
            if self._settings.lexical:
                with self._stage("lexical"):
                    self._write_lexical(folder, store)
            self._publish(folder, store, choice)
            return True
        except BaseException as error:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, OSError):
                raise self._not_written(error) from error
            raise

    def _read(self, fill: Callable[[PassageWriter], bool], folder: Path) -> PassageStore | None:
        writer = PassageWriter(folder)
        try:
            if not fill(writer):
                return None
            writer.close()
        finally:
            writer.abandon()
        store = PassageStore(folder / DOCUMENTS, folder / PASSAGES, folder / DELETED)
        ids = store.documents.column("id").filter(store.live_documents)
        if len(pc.unique(ids)) < len(ids):
            counts = pc.value_counts(ids)
            twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
            more = f" and {len(twice) - 1} more" if len(twice) > 1 else ""
            raise RagkitError(
                f"duplicate document ids: {twice[0].as_py()!r}{more}: give each document its own"
            )
        return store

    def _refuse_too_few(self, passages: int) -> None:
        """Before hours of encoding, not after."""
        from ragkit.index.faiss_index import needed_rows

        factory = self._settings.choice(passages).factory
        if passages < (needed := needed_rows(factory)):
            raise RagkitError(
                f"a FAISS index {factory!r} needs {needed} passages or more to train on, "
                f"here are {passages}: use auto or flat"
            )

    def _encode(self, store: PassageStore, rows: Ids) -> tuple[VectorCache | None, npt.NDArray[np.int64]]:
        """The cache with the vectors of all `rows`, and where in it each of them is."""
        if not len(rows):
            return None, np.empty(0, dtype=np.int64)
        with self._stage("writing"):
            passport = self._settings.passport
            cache = VectorCache(self._generations.index / CACHE, passport.fingerprint, passport.dimension)
            keys = store.keys().take(rows).combine_chunks().dictionary_encode()
            codes = keys.indices.to_numpy()
            first = np.unique(codes, return_index=True)[1]
            missing = rows[first[cache.positions(keys.dictionary) < 0]]
        with self._stage("encoding"):
            self._fill_cache(cache, store, np.sort(missing))
        with self._stage("writing"):
            cache.refresh()
            positions = cache.positions(keys.dictionary)
            if (positions < 0).any():
                raise RagkitError(f"{cache.path} did not keep what was written to it: is the disk sound?")
        return cache, positions[codes]

    def _fill_cache(self, cache: VectorCache, store: PassageStore, rows: Ids) -> None:
        keys = store.keys()
        for start in range(0, len(rows), WINDOW):
            window = rows[start : start + WINDOW]
            texts = store.encoder_inputs(window)
            order = np.argsort([-len(title) - len(text) for title, text in texts], kind="stable")
            for at in range(0, len(order), ENCODED_AT_ONCE):
                batch = order[at : at + ENCODED_AT_ONCE]
                self._tell("encoding", start + at, len(rows), "passages")
                vectors = self._encoder().encode_passages([texts[i] for i in batch])
                cache.append(keys.take(window[batch]).combine_chunks(), vectors)
                self._report.encoded += len(batch)
        if len(rows):
            self._tell("encoding", len(rows), len(rows), "passages")

    def _write_vectors(
        self,
        folder: Path,
        store: PassageStore,
        rows: Ids,
        cache: VectorCache | None,
        positions: npt.NDArray[np.int64],
        base: Generation | None,
    ) -> Choice:
        from ragkit.index.faiss_index import FaissIndex, added_at_once, training_rows

        dimension = self._settings.passport.dimension
        if base is None:
            choice = self._settings.choice(len(rows))
            engine = FaissIndex(dimension, choice.factory, choice.search)
            if cache is not None and not engine.is_trained:
                engine.train(cache.vectors(positions[_sample(len(rows), training_rows(choice.factory))]))
        else:
            choice = Choice(base.manifest.factory, base.manifest.search)
            engine = FaissIndex.load(vector_file(base))
            old = engine.ids
            engine.remove(old[~store.live[old]])
        engine.spill_into(folder)
        if cache is not None:
            step = added_at_once(choice.factory, dimension) or len(rows)
            for at in range(0, len(rows), step):
                self._tell("vectors", at, len(rows), "vectors")
                part = slice(at, at + step)
                engine.add(cache.vectors(positions[part]), rows[part])
        self._tell("vectors", len(rows), len(rows), "vectors")
        engine.save(folder / VECTORS)
        return choice

    def _write_lexical(self, folder: Path, store: PassageStore) -> None:
        from ragkit.index.lexical import FOLDER
        from ragkit.index.lexical_writing import write_lexical

        self._tell("lexical", 0, len(store), "passages")
        write_lexical(store.texts(), folder / FOLDER)
        self._tell("lexical", len(store), len(store), "passages")

    def _publish(self, folder: Path, store: PassageStore, choice: Choice) -> None:
        self._tell("writing", 0, 1, "generation")
        with self._stage("writing"):
            files = self._generations.seal(folder)
        settings = self._settings
        counts = Counts(
            documents=int(store.live_documents.sum()),
            passages=len(store),
            deleted_documents=int((~store.live_documents).sum()),
            deleted_passages=len(store.live) - len(store),
            skipped=len(self._report.skipped),
        )
        manifest = Manifest(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            ragkit=_version(),
            passport=settings.passport,
            splitting=asdict(settings.splitting) if settings.splitting else None,
            index=settings.index,
            factory=choice.factory,
            search=choice.search,
            lexical=settings.lexical,
            counts=counts,
            seconds={stage: round(s, 4) for stage, s in self._report.seconds.items()},
            files=files,
            fusion=settings.fusion,
            promise=settings.promise,
        )
        self._generations.publish(folder, manifest)
        self._tell("writing", 1, 1, "generation")

    @contextmanager
    def _stage(self, stage: Stage) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self._report.seconds[stage] = self._report.seconds.get(stage, 0.0) + spent

    def _tell(self, stage: Stage, done: int, total: int | None, unit: str) -> None:
        self._on_event(Event(stage, done, total, unit))

    def _not_written(self, error: OSError) -> RagkitError:
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = "no space left on the disk"
        return RagkitError(
            f"cannot write the index {self._generations.index}: {reason}; the index is as it was before, "
            "and what was encoded is kept: mend it and run the same command again"
        )


def _sample(rows: int, size: int) -> npt.NDArray[np.int64]:
    """Positions of at most `size` of the rows, drawn evenly at random with a fixed seed, ascending."""
    if rows <= size:
        return np.arange(rows)
    return np.sort(np.random.default_rng(0).choice(rows, size, replace=False))


def _version() -> str:
    try:
        return version("ragkit")
    except PackageNotFoundError:
        return "unknown"
