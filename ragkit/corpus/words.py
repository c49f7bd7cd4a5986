"""Sentences and words of running text, for models that read words and need no language's own rules."""

import re

_SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[A-Z0-9])|\s*\n\s*")
_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
RULES = (_SENTENCE_END.pattern, _WORD.pattern)
"""What decides the cuts: part of the identity of a model whose vectors depend on them."""


def sentences(text: str) -> list[str]:
    """Lines and sentences; a full stop ends one if a capital or a digit follows."""
    return [part for part in (piece.strip() for piece in _SENTENCE_END.split(text)) if part]


def sentence_words(text: str) -> list[list[str]]:
    """The words of each sentence, case kept: letters, digits, apostrophes between; single signs."""
    return [_WORD.findall(sentence) for sentence in sentences(text)]
