"""An index made smaller: its engine alone, or its vectors, too."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from ragkit.encoders.encoder import Vectors
from ragkit.encoders.loading import load_encoder
from ragkit.encoders.sentence import SentenceEncoder
from ragkit.errors import RagkitError
from ragkit.index.events import OnEvent
from ragkit.index.generations import Generations
from ragkit.index.lock import writer_lock
from ragkit.index.manifest import Promise
from ragkit.index.planning.questions import live_rows, questions_of
from ragkit.index.reading import GenerationReader
from ragkit.index.recipe import Choice, default_search
from ragkit.index.reencoding import reencode
from ragkit.index.rewriting import rebuild_engine
from ragkit.index.stored import StoredIndex
from ragkit.index.vector_cache import VectorCache
from ragkit.index.writing import CACHE
from ragkit.runtime.quiet import without_bars
from ragkit.training.compression.similarity import SimilaritySettings, principal_axes, similarity_keeping
from ragkit.training.compression.ways import Measured, Way, measure, projected, usual_ways

SIMILARITY = "similarity"
ANCHORS = 2000
"""Questions that a projection is trained with, and as many passages asked as if they were questions."""
FEWEST = 256
"""Passages that the codes' training needs."""


@dataclass(frozen=True)
class Asked:
    """What the ways are judged by: vectors (q, d), and the positions of the relevant passages; None: of the
    nearest."""

    name: str
    vectors: Vectors
    relevant: list[list[int]] | None = None


def compared(
    index: StoredIndex,
    asked: Asked,
    size: int,
    training: Vectors | None = None,
    settings: SimilaritySettings | None = None,
    on_event: Any = None,
) -> list[Measured]:
    """All ways on an index's own vectors, the similarity-keeping projection to `size` numbers among them.

    Args:
        training: questions to train the projection with, (n, d); None: sentences of the passages.

    Raises:
        RagkitError: if there are too few passages, or vectors are missing from the index's cache.
    """
    passages = live_vectors(index)
    cosine = index.encoder.similarity == "cosine"
    learnt = learnt_matrix(index, passages, size, training, settings, on_event)
    name = f"{size} + sq8"
    ways = [
        *usual_ways(passages.shape[1], size),
        Way(f"pca{name}", "SQ8", principal_axes(passages, size), cosine),
        Way(f"{SIMILARITY}{name}", "SQ8", learnt, cosine),
    ]
    return measure(ways, passages, asked.vectors, asked.relevant)


def live_vectors(index: StoredIndex) -> Vectors:
    """Of the passages that are there, in the order of their rows. Raises RagkitError for fewer than
    `FEWEST`."""
    rows = live_rows(index)
    if len(rows) < FEWEST:
        raise RagkitError(f"{len(rows)} passages are too few to compress their vectors: {FEWEST} or more")
    return index.passage_vectors()(rows)


def sentences(index: StoredIndex) -> Asked:
    """Sentences of some passages, asked as questions; other ones than `learnt_matrix` trains with."""
    return Asked("sentences of its passages", questions_of(index, seed=1).vectors)


def learnt_matrix(
    index: StoredIndex,
    passages: Vectors,
    size: int,
    training: Vectors | None = None,
    settings: SimilaritySettings | None = None,
    on_event: Any = None,
) -> npt.NDArray[np.float32]:
    """The similarity-keeping projection of an index's vectors, (size, d)."""
    if training is None:
        training = questions_of(index, seed=0, count=ANCHORS).vectors
    drawn = np.random.default_rng(0).permutation(len(passages))[:ANCHORS]
    with TemporaryDirectory() as folder:
        return similarity_keeping(
            passages,
            np.concatenate([training[:ANCHORS], passages[np.sort(drawn)]]),
            Path(folder),
            replace(settings or SimilaritySettings(), size=size),
            cosine=index.encoder.similarity == "cosine",
            on_event=on_event,
        )


def compress_engine(
    index: StoredIndex, found: Measured, asked: Asked, on_event: OnEvent | None = None
) -> None:
    """The next generation of the index, its engine of the way that was measured. Its exact vectors stay in
    its cache, so that any other engine can be built again.

    Raises RagkitError for a way that needs other vectors.
    """
    if found.way.matrix is not None:
        raise RagkitError(f"{found.way.name} needs vectors of its own: build it with an --out")
    factory = found.way.factory
    promise = _promise(factory, live_vectors(index), asked.vectors, asked.name)
    rebuild_engine(index.path, Choice(factory, default_search(factory)), promise, on_event)


def compress_vectors(
    index: StoredIndex, found: Measured, out: Path, asked: Asked, on_event: OnEvent | None = None
) -> Path:
    """An index in `out` whose vectors went through the way's matrix; returns the encoder made for it.

    The matrix becomes a layer of the encoder (`out/encoder`), so that questions, later additions and
    `compact` go through it as well. Nothing is encoded again.

    Raises RagkitError where the encoder is not one of sentence-transformers, `out` holds something, or the
    disk is full.
    """
    matrix = found.way.matrix
    assert matrix is not None
    if out.exists() and any(out.iterdir()):
        raise RagkitError(f"{out} is not empty: name another folder")
    folder = out / "encoder"
    encoder = shortened(index, matrix, folder)
    base = Generations(index.path).current()
    store = GenerationReader(base).store
    rows = live_rows(index)
    passport = encoder.passport()
    vectors = projected(index.passage_vectors()(rows), matrix, encoder.similarity == "cosine")
    target = out / "index"
    target.mkdir(parents=True)
    with writer_lock(target):
        cache = VectorCache(target / CACHE, passport.fingerprint, passport.dimension)
        keys = store.keys().take(rows).combine_chunks()
        first = np.unique(keys.dictionary_encode().indices.to_numpy(), return_index=True)[1]
        cache.append(keys.take(first), vectors[first])
    reencode(index.path, target, encoder, on_event)
    promise = _promise(found.way.factory, vectors, found.way.vectors(asked.vectors), asked.name)
    rebuild_engine(target, Choice(found.way.factory, {}), promise, on_event)
    return folder


def shortened(index: StoredIndex, matrix: npt.NDArray[np.float32], folder: Path) -> SentenceEncoder:
    """The index's encoder with one linear layer more, saved in `folder` as sentence-transformers reads it.

    Raises RagkitError for an encoder that is not one of sentence-transformers.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize

    encoder = index.encoder
    if not isinstance(encoder, SentenceEncoder):
        raise RagkitError(f"{encoder.passport().name} takes no further layer: only sentence-transformers do")
    size, dimension = matrix.shape
    layer = Dense(
        dimension,
        size,
        bias=False,
        activation_function=torch.nn.Identity(),
        init_weight=torch.from_numpy(matrix),
    )
    last = [Normalize()] if encoder.similarity == "cosine" else []
    model = SentenceTransformer(
        modules=[*encoder.model, layer, *last],
        prompts=encoder.model.prompts,
        similarity_fn_name=encoder.model.similarity_fn_name,
        device="cpu",
    )
    with without_bars():
        model.save(str(folder), create_model_card=False)
    loaded = load_encoder(folder, *encoder.passport().choice)
    assert isinstance(loaded, SentenceEncoder)
    return loaded


def _promise(factory: str, passages: Vectors, questions: Vectors, name: str) -> Promise:
    """What the engine finds of the ten nearest vectors: what `ragkit index verify --recall` measures."""
    reached = measure([Way("exact", "Flat"), Way("engine", factory)], passages, questions)[1].recall
    return Promise(round(reached.low, 3), round(reached.mean, 4), len(passages), name)


def relevant_positions(index: StoredIndex, relevant: Sequence[Sequence[str]]) -> list[list[int]]:
    """Of each question's relevant passage or document ids, the positions among the passages that are there;
    a document counts by the first of its passages."""
    rows = index.rows_by_id()
    place = {row: at for at, row in enumerate(live_rows(index).tolist())}
    return [[place[rows[name][0]] for name in names if rows.get(name)] for names in relevant]
