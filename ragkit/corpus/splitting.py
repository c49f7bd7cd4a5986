"""Cutting documents into passages, with exact offsets and never inside a word.

Passages are windows of whole pieces (words, or sentences), each piece of some weight in words or tokens.
Neighbours have pieces of at least `overlap` in common, so every stretch of words that weighs no more lies
whole in some passage: an answer that short is never cut (`_windows` says why).
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

from ragkit.corpus.document import Document, Passage
from ragkit.errors import RagkitError

Unit = Literal["words", "sentences", "tokens", "none"]
UNITS: tuple[Unit, ...] = ("words", "sentences", "tokens", "none")
Span = tuple[int, int]

# Han and kana are written without spaces: each character, with the marks and punctuation after it, is a word
# there, lest a whole Chinese document be one. Any other word goes on to the next white space, however long.
UNSPACED = r"\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
WORD = re.compile(rf"[{UNSPACED}][^\w\s]*|[^\s{UNSPACED}]+")

# The segmenter's time grows with the square of its text, so it gets a paragraph at a time, and of one without
# end some 10,000 characters up to the end of a line, or else of a word.
BLOCK = re.compile(r"(?:[^\n]|\n(?![^\S\n]*\n)){1,10000}(?:[^\n]{0,10000}\n|\S*\s*)")


@dataclass(frozen=True, slots=True)
class Splitting:
    """How documents are cut: passages of at most `size` units, neighbours with at least `overlap` in common.

    A word is a run of characters without white space, in Han and kana a single character. "sentences" packs
    whole sentences up to `size` words and repeats whole sentences of at least `overlap` words; a sentence of
    more than (size - overlap) / 2 words, too long to be repeated, is cut between words. "tokens" counts the
    encoder's tokens and ends at ends of words; a single word of more than `size` stays whole. "none" keeps a
    document whole.
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
        start, end = len(text) - len(text.lstrip()), len(text.rstrip())
        return [_passage(document, start, end, whole=True)] if start < end else []
    pieces = [match.span() for match in WORD.finditer(text)]
    weights = [1] * len(pieces)
    if splitting.unit == "sentences":
        pieces, weights = _sentences(text, pieces, (splitting.size - splitting.overlap) // 2)
    elif splitting.unit == "tokens":
        weights = _token_counts(text, pieces, tokenizer)
    windows = _windows(weights, splitting.size, splitting.overlap)
    return [_passage(document, pieces[first][0], pieces[last - 1][1]) for first, last in windows]


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


def _windows(weights: Sequence[int], size: int, overlap: int) -> Iterator[Span]:
    """Ranges [first, last) of pieces that weigh at most `size`, or of one piece, each reaching further than
    the one before.

    The next range starts at the last piece that leaves at least `overlap` in common. What weighs no more
    than `overlap` and crosses the end of a range therefore starts inside the next one. Where a heavy piece
    leaves no such start, the next piece is tried: what starts at the heavy one fitted already.
    """
    total = [0, *accumulate(weights)]  # pieces first to last weigh total[last] - total[first]
    first = reached = 0
    while reached < len(weights):
        last = max(bisect_right(total, total[first] + size) - 1, first + 1)
        if last > reached:
            yield first, last
            reached = last
        first = max(bisect_right(total, total[reached] - overlap, 0, reached + 1) - 1, first + 1)


def _sentences(text: str, words: list[Span], most: int) -> tuple[list[Span], list[int]]:
    """Sentences and how many words each has; the single words of a sentence that has more than `most`.

    Two sentences of `most` and an overlap fit one passage: then an answer across two sentences is not cut
    either. A word belongs to the sentence that it starts in, wherever the segmenter would cut.
    """
    pieces: list[Span] = []
    weights: list[int] = []
    starts = [start for start, _ in words]
    first = 0
    for end in sentence_ends(text):
        last = bisect_right(starts, end - 1, first)
        if 0 < last - first <= most:
            pieces.append((words[first][0], words[last - 1][1]))
            weights.append(last - first)
        else:
            pieces += words[first:last]
            weights += [1] * (last - first)
        first = last
    return pieces + words[first:], weights + [1] * (len(words) - first)


def sentence_ends(text: str) -> Iterator[int]:
    """Where each sentence of a text ends, in characters, ascending; words may be left behind the last."""
    import sentencex

    for block in BLOCK.finditer(text):
        end = block.start()
        for sentence in sentencex.segment("en", block.group()):
            end = max(text.find(sentence, end, block.end()), end) + len(sentence)
            yield end


def _token_counts(text: str, words: list[Span], tokenizer: Any) -> list[int]:
    """How many of the tokenizer's tokens end in each word, at least one."""
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
        if start < end and words:  # its end: a token may begin with the space before its word
            while at + 1 < len(words) and end > words[at + 1][0]:
                at += 1
            counts[at] += 1
    return [max(1, count) for count in counts]
