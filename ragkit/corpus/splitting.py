"""Cutting documents into passages, with exact offsets and never inside a word."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ragkit.corpus.document import Document, Passage
from ragkit.errors import RagkitError

Unit = Literal["words", "sentences", "tokens", "none"]
UNITS: tuple[Unit, ...] = ("words", "sentences", "tokens", "none")
Span = tuple[int, int]

WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Splitting:
    """How documents are cut: passages of at most `size` units, each sharing `overlap` with the one before.

    A word is a run of characters without white space. "sentences" packs whole sentences up to `size` words
    (a longer sentence is cut by words) and repeats whole sentences of up to `overlap` words; "tokens" counts
    the encoder's tokens and ends at ends of words; "none" keeps a document whole. A single word longer
    than `size` tokens, as in scripts without spaces, stays whole.
    """

    unit: Unit = "words"
    size: int = 150
    overlap: int = 30

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise RagkitError(f"cannot split by {self.unit!r}: use one of {', '.join(UNITS)}")
        if self.size < 1:
            raise RagkitError(f"a passage of {self.size} {self.unit} is empty: give a size of 1 or more")
        if not 0 <= self.overlap < self.size:
            raise RagkitError(
                f"an overlap of {self.overlap} does not fit passages of {self.size} {self.unit}: "
                "it must be 0 or more and less than the size"
            )


def split(document: Document, splitting: Splitting | None = None, tokenizer: Any = None) -> list[Passage]:
    """The document's passages, in order; a document without a word has none.

    Each is an exact slice, `document.text[start:end] == text`, that begins and ends with a word, and every
    word is in one. Without `splitting`, by words, or whole where the document is not `splittable`.
    An answer no longer than the overlap is never cut in two.

    Raises RagkitError where a splitting by tokens has no fast `tokenizer` (of transformers) to count with.
    """
    if splitting is None:
        splitting = Splitting() if document.splittable else Splitting(unit="none")
    text = document.text
    if splitting.unit == "none":
        return [_passage(document, 0, len(text), whole=True)] if text.strip() else []
    if splitting.unit == "sentences":
        spans = _by_sentences(text, splitting)
    else:
        words = [match.span() for match in WORD.finditer(text)]
        weights = [1] * len(words) if splitting.unit == "words" else _token_counts(text, words, tokenizer)
        spans = _pack(words, weights, splitting.size, splitting.overlap)
    return [_passage(document, start, end) for start, end in spans]


def _passage(document: Document, start: int, end: int, whole: bool = False) -> Passage:
    return Passage(
        id=document.id if whole else f"{document.id}#{start}-{end}",
        document_id=document.id,
        text=document.text[start:end],
        start=start,
        end=end,
        title=document.title,
        metadata=document.metadata,
    )


def _pack(pieces: list[Span], weights: list[int], size: int, overlap: int) -> Iterator[Span]:
    """Runs of consecutive pieces of at most `size` in weight; each begins with the last pieces of the one
    before that weigh at most `overlap` together."""
    first = 0
    while first < len(pieces):
        last, weight = first, weights[first]
        while last + 1 < len(pieces) and weight + weights[last + 1] <= size:
            last += 1
            weight += weights[last]
        yield pieces[first][0], pieces[last][1]
        if last + 1 == len(pieces):
            return
        start, shared = last + 1, 0
        # Back no further than what leaves room for the next piece: each run must bring something new.
        room = min(overlap, size - weights[last + 1])
        while start - 1 > first and shared + weights[start - 1] <= room:
            start -= 1
            shared += weights[start]
        first = start


def _by_sentences(text: str, splitting: Splitting) -> Iterator[Span]:
    pieces: list[Span] = []
    weights: list[int] = []
    for sentence in _sentences(text):
        words = [match.span() for match in WORD.finditer(text, *sentence)]
        for at in range(0, len(words), splitting.size):
            part = words[at : at + splitting.size]
            pieces.append((part[0][0], part[-1][1]))
            weights.append(len(part))
    return _pack(pieces, weights, splitting.size, splitting.overlap)


def _sentences(text: str) -> Iterator[Span]:
    """Spans that cover the text, cut between words even where the segmenter would cut inside one."""
    import sentencex

    start = end = 0
    for segment in sentencex.segment("en", text):
        found = text.find(segment, end)
        end = (found if found >= 0 else end) + len(segment)
        if end < len(text) and not (text[end].isspace() or text[end - 1].isspace()):
            continue
        yield start, end
        start = end
    if start < len(text):
        yield start, len(text)


def _token_counts(text: str, words: list[Span], tokenizer: Any) -> list[int]:
    """How many of the tokenizer's tokens begin in each word, at least one."""
    if tokenizer is None or not getattr(tokenizer, "is_fast", False):
        raise RagkitError(
            "splitting by tokens needs an encoder with a fast tokenizer: split by words instead"
        )
    tokens = tokenizer(
        text, add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False
    )
    counts = [0] * len(words)
    at = 0
    for start, end in tokens["offset_mapping"]:
        while at + 1 < len(words) and start >= words[at + 1][0]:
            at += 1
        if words and end > words[at][0]:
            counts[at] += 1
    return [max(1, count) for count in counts]
