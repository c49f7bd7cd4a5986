"""The files of a generation that its vector engine is in."""

from pathlib import Path

from ragkit.index.generations import Generation

VECTORS = "vectors.faiss"
LISTS = "vectors.lists"
"""Only where inverted lists outgrew memory (`inverted_lists.py`)."""
VECTOR_FILES = (VECTORS, LISTS)


def vector_file(generation: Generation) -> Path:
    """What the engine is loaded from. Raises RagkitError where a file is damaged."""
    for name in VECTOR_FILES:
        if name in generation.manifest.files:
            generation.file(name)
    return generation.folder / VECTORS
