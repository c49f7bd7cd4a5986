"""Next sentence prediction: balance, documents, order, and a model that learns 256 pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.errors import RagkitError
from ragkit.models.sequence.sentence_pairs import ELSEWHERE, FOLLOWS, sentence_pairs

documents_strategy = st.lists(
    st.lists(st.lists(st.integers(1, 9), max_size=12), max_size=8), min_size=2, max_size=6
)


@pytest.mark.row(97)
@settings(max_examples=80, deadline=None)
@given(documents_strategy, st.integers(4, 40), st.integers(0, 5))
def test_pairs_follow_or_are_of_another_document(
    shapes: list[list[list[int]]], max_tokens: int, seed: int
) -> None:
    number = iter(range(10**6))
    documents = [[[next(number) for _ in sentence] for sentence in text] for text in shapes]
    kept = [text for text in documents if any(text)]
    owner = {token: at for at, text in enumerate(kept) for sentence in text for token in sentence}
    try:
        pairs = sentence_pairs(documents, max_tokens, np.random.default_rng(seed))
    except RagkitError:
        assert len(kept) < 2 or all(sum(map(bool, text)) < 2 for text in kept)
        return
    for pair in pairs:
        assert len(pair.a) > 0 and len(pair.b) > 0 and len(pair.a) + len(pair.b) <= max_tokens
        assert {owner[token] for token in pair.a} == {pair.document_a}
        assert {owner[token] for token in pair.b} == {pair.document_b}
        if pair.label == FOLLOWS:
            assert pair.a[-1] + 1 == pair.b[0]  # tokens are numbered in reading order
        else:
            assert pair.label == ELSEWHERE and pair.document_a != pair.document_b
    assert sum(pair.label for pair in pairs) == len(pairs) // 2


@pytest.mark.row(97)
def test_every_sentence_start_is_seen_and_the_draw_is_repeatable() -> None:
    documents = [[[d * 100 + s] * 5 for s in range(20)] for d in range(30)]
    first = sentence_pairs(documents, 30, np.random.default_rng(1))
    assert first == sentence_pairs(documents, 30, np.random.default_rng(1))
    assert first != sentence_pairs(documents, 30, np.random.default_rng(2))
    assert {pair.document_a for pair in first} == set(range(30))


@pytest.mark.row(97)
def test_a_corpus_without_pairs_is_refused() -> None:
    for documents in ([], [[[1, 2]]], [[[1], [2]]], [[[1]], [[2]]]):
        with pytest.raises(RagkitError, match="two documents"):
            sentence_pairs(documents, 20, np.random.default_rng(0))
