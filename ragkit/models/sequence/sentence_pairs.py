"""Next sentence prediction data: [CLS] A [SEP] B [SEP], half of the B's follow A and half are of
another document (Devlin et al. 2019, 3.1 and A.2). Row 97.

The notes say "next sequence prediction"; A and B are runs of sentences. Label 0 is "follows" (google-research
and transformers); codertimo's BERT-pytorch writes 1 for it, which is one minus ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from ragkit.errors import RagkitError

Sentence = Sequence[int]
Document = Sequence[Sentence]

FOLLOWS, ELSEWHERE = 0, 1


@dataclass(frozen=True, slots=True)
class SentencePair:
    """Token ids without special tokens, the documents they are of, and the label."""

    a: list[int]
    b: list[int]
    document_a: int
    document_b: int
    label: int


def sentence_pairs(
    documents: Sequence[Document], max_tokens: int, rng: np.random.Generator
) -> list[SentencePair]:
    """Pairs that walk through every document once, in random order, as many that follow as that do not.

    Sentences are gathered until `max_tokens` are reached and cut in two at a random sentence; exactly half
    of the second parts (drawn at random) are replaced by a run of sentences of another document. What is
    too long after that is cut at the ends away from the seam.

    Args:
        documents: tokenised sentences of each; empty ones are left out.
        max_tokens: of A and B together, without special tokens.

    Raises:
        RagkitError: if there are not two documents, or no document of two sentences.
    """
    texts = [[list(s) for s in document if len(s)] for document in documents]
    texts = [text for text in texts if text]
    chunks = [(at, c) for at, text in enumerate(texts) for c in _chunks(text, max_tokens) if len(c) > 1]
    if len(texts) < 2 or not chunks:
        raise RagkitError(
            f"{len(texts)} document(s), {len(chunks)} stretches of two sentences: next sentence prediction "
            "needs two documents and sentences that follow each other"
        )
    order = rng.permutation(len(chunks))
    elsewhere = rng.permutation(len(chunks)) < len(chunks) // 2
    return [_pair(chunks[at], texts, bool(elsewhere[at]), max_tokens, rng) for at in order]


def _chunks(text: list[list[int]], max_tokens: int) -> list[list[list[int]]]:
    """Consecutive sentences, each stretch as long as `max_tokens` allows (at least two sentences)."""
    chunks: list[list[list[int]]] = [[]]
    for sentence in text:
        full = sum(map(len, chunks[-1])) + len(sentence) > max_tokens
        if full and len(chunks[-1]) > 1:
            chunks.append([])
        chunks[-1].append(sentence)
    return chunks


def _pair(
    chunk: tuple[int, list[list[int]]],
    texts: list[list[list[int]]],
    elsewhere: bool,
    max_tokens: int,
    rng: np.random.Generator,
) -> SentencePair:
    own, sentences = chunk
    seam = int(rng.integers(1, len(sentences)))
    a, b, other = sentences[:seam], sentences[seam:], own
    if elsewhere:
        other = int(rng.integers(len(texts) - 1))
        other += other >= own  # any document but the chunk's own
        start = int(rng.integers(len(texts[other])))
        b = texts[other][start : start + len(b)]
    flat_a, flat_b = list(chain(*a)), list(chain(*b))
    # The longer one is cut until both fit; the words at the seam are the ones that tell.
    half = max_tokens // 2
    keep_a = max(max_tokens - len(flat_b), half)
    flat_a = flat_a[-keep_a:]
    return SentencePair(
        flat_a, flat_b[: max_tokens - len(flat_a)], own, other, ELSEWHERE if elsewhere else FOLLOWS
    )
