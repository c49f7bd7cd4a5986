"""ragkit answers questions over your own documents, offline, and proves how well it does.

>>> import ragkit
>>> index = ragkit.Index.build("docs/", out="indexes/handbook")
>>> hits = index.search("what is a triplet loss?", k=5)
>>> answer = ragkit.RagSequence(index).ask("what is a triplet loss?")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragkit.corpus.document import Document, Passage
    from ragkit.corpus.questions import load_questions
    from ragkit.corpus.splitting import Splitting
    from ragkit.encoders.loading import load_encoder
    from ragkit.errors import RagkitError
    from ragkit.generation.answer import Answer, Support
    from ragkit.generation.loading import load_generator, load_reader
    from ragkit.generation.rag_sequence import RagSequence
    from ragkit.generation.rag_token import RagToken
    from ragkit.generation.reader import ExtractiveReader
    from ragkit.retrieval.hit import Hit
    from ragkit.retrieval.index import Index

_HOMES = {
    "Answer": "ragkit.generation.answer",
    "Document": "ragkit.corpus.document",
    "ExtractiveReader": "ragkit.generation.reader",
    "Hit": "ragkit.retrieval.hit",
    "Index": "ragkit.retrieval.index",
    "Passage": "ragkit.corpus.document",
    "RagSequence": "ragkit.generation.rag_sequence",
    "RagToken": "ragkit.generation.rag_token",
    "RagkitError": "ragkit.errors",
    "Splitting": "ragkit.corpus.splitting",
    "Support": "ragkit.generation.answer",
    "load_encoder": "ragkit.encoders.loading",
    "load_generator": "ragkit.generation.loading",
    "load_questions": "ragkit.corpus.questions",
    "load_reader": "ragkit.generation.loading",
}
"""Where each public name lives: imported when first asked for, so that `import ragkit` costs nothing."""

__all__ = [
    "Answer",
    "Document",
    "ExtractiveReader",
    "Hit",
    "Index",
    "Passage",
    "RagSequence",
    "RagToken",
    "RagkitError",
    "Splitting",
    "Support",
    "load_encoder",
    "load_generator",
    "load_questions",
    "load_reader",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ragkit' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
