"""What an index holds and what it takes up."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragkit.index.generations import Generation
from ragkit.index.manifest import Counts, Promise
from ragkit.index.vector_files import VECTOR_FILES
from ragkit.index.writing import CACHE


@dataclass(frozen=True)
class IndexInfo:
    """All sizes in bytes, all times in seconds."""

    path: Path
    generation: int
    created: str
    ragkit: str
    encoder: str
    dimension: int
    similarity: str
    computed: str
    """What computed the vectors of the build: runtime, precision, and the graph's name in the cache."""
    splitting: dict[str, Any] | None
    index: str
    factory: str
    search: dict[str, int]
    lexical: bool
    fusion: dict[str, Any] | None
    """The hybrid's numbers where they were tuned to this index."""
    promise: Promise | None
    """Where the engine was planned."""
    counts: Counts
    size: int
    """Of the generation: texts, vectors and lexical index; the cache is apart."""
    vector_size: int
    bytes_a_vector: float
    """Of the vector engine's files, a live passage."""
    cache_size: int
    seconds: dict[str, float]
    """What writing this generation took, by stage."""


def describe(generation: Generation) -> IndexInfo:
    """Reads the manifest and the sizes of the cache's files."""
    manifest = generation.manifest
    cache = generation.index / CACHE
    vector_size = sum(manifest.files[name].size for name in VECTOR_FILES if name in manifest.files)
    return IndexInfo(
        path=generation.index,
        generation=int(generation.folder.name),
        created=manifest.created,
        ragkit=manifest.ragkit,
        encoder=manifest.passport.name,
        dimension=manifest.passport.dimension,
        similarity=manifest.passport.similarity,
        computed=manifest.passport.computed,
        splitting=manifest.splitting,
        index=manifest.index,
        factory=manifest.factory,
        search=manifest.search,
        lexical=manifest.lexical,
        fusion=manifest.fusion,
        promise=manifest.promise,
        counts=manifest.counts,
        size=sum(record.size for record in manifest.files.values()),
        vector_size=vector_size,
        bytes_a_vector=vector_size / max(1, manifest.counts.passages),
        cache_size=sum(path.stat().st_size for path in cache.iterdir()) if cache.is_dir() else 0,
        seconds=manifest.seconds,
    )
