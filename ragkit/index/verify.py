"""Reads a whole generation and says what is wrong with it."""

from collections.abc import Iterator

import numpy as np
import pyarrow.compute as pc

from ragkit.errors import RagkitError
from ragkit.index.faiss_index import FaissIndex
from ragkit.index.generations import Generation
from ragkit.index.passages import PassageStore, passage_key
from ragkit.index.reading import GenerationReader
from ragkit.index.vector_files import VECTORS, vector_file

NAMED = 5
"""Problems of one kind that are named; the others are counted."""


def problems(generation: Generation) -> list[str]:
    """A line for each: files that are missing or changed; and in files that are sound, passages that are
    not where they say in their document, counts that disagree, vectors that are too few or too many."""
    found = [p for name in generation.manifest.files if (p := generation.problem(name, thorough=True))]
    if found:
        return found  # what damaged files hold is not worth comparing
    reader = GenerationReader(generation)
    try:
        found += _bounded(_passage_problems(reader.store))
        found += _count_problems(generation, reader.store)
        found += _vector_problems(generation, reader.store)
        if generation.manifest.lexical:
            _ = reader.lexical
    except RagkitError as error:
        found.append(str(error))
    return found


def _passage_problems(store: PassageStore) -> Iterator[str]:
    held: tuple[int, str, str] = (-1, "", "")
    for batch in store.rows.batches:
        for row in batch.to_pylist():
            if row["document"] != held[0]:
                title, text = store.documents.row(row["document"], "title", "text")
                held = (row["document"], title, text)
            if held[2][row["start"] : row["end"]] != row["text"]:
                yield f"passage {row['id']!r} is not at {row['start']}-{row['end']} of its document"
            if passage_key(held[1], row["text"]) != row["key"]:
                yield f"passage {row['id']!r} has the key of another text"


def _count_problems(generation: Generation, store: PassageStore) -> Iterator[str]:
    counts = generation.manifest.counts
    ids = store.rows.column("id").filter(store.live)
    for what, said, there in (
        ("documents", counts.documents, int(store.live_documents.sum())),
        ("passages", counts.passages, len(store)),
        ("deleted documents", counts.deleted_documents, int((~store.live_documents).sum())),
        ("deleted passages", counts.deleted_passages, int((~store.live).sum())),
        ("different passage ids", counts.passages, len(pc.unique(ids))),
    ):
        if said != there:
            yield f"{there} {what}, but the manifest says {said}"


def _vector_problems(generation: Generation, store: PassageStore) -> Iterator[str]:
    ids = np.sort(FaissIndex.load(vector_file(generation)).ids)
    if missing := len(np.setdiff1d(store.live_rows, ids)):
        yield f"{missing} passages have no vector in {VECTORS}"
    if extra := len(np.setdiff1d(ids, store.live_rows)):
        yield f"{extra} vectors in {VECTORS} belong to no passage"


def _bounded(lines: Iterator[str]) -> list[str]:
    found = list(lines)
    return found[:NAMED] + ([f"and {len(found) - NAMED} more like this"] if len(found) > NAMED else [])
