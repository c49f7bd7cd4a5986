"""Next sentence prediction: balance, documents, order, and a model that learns 256 pairs."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.errors import RagkitError
from ragkit.models.sequence.bert import BertConfig
from ragkit.models.sequence.bert_pretraining import IGNORED, BertForPretraining
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


@pytest.mark.row(97)
@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_overfits_256_pairs(seed: int) -> None:
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    documents = [[rng.integers(5, 200, 6).tolist() for _ in range(20)] for _ in range(70)]
    pairs = sentence_pairs(documents, 24, rng)[:256]
    assert len(pairs) == 256
    tokens, segments = torch.zeros(256, 27, dtype=torch.long), torch.zeros(256, 27, dtype=torch.long)
    for row, pair in enumerate(pairs):
        ids = [1, *pair.a, 2, *pair.b, 2]
        tokens[row, : len(ids)] = torch.tensor(ids)
        segments[row, len(pair.a) + 2 : len(ids)] = 1
    truth = torch.tensor([pair.label for pair in pairs])
    model = BertForPretraining(BertConfig(200, 64, 2, 4, 128, 32, dropout=0.0))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    nothing = torch.full_like(tokens, IGNORED)
    for _ in range(80):
        for rows in torch.randperm(256).split(64):
            losses = model(tokens[rows], nothing[rows], tokens[rows] > 0, segments[rows], truth[rows])
            optimizer.zero_grad()
            losses.total.backward()
            optimizer.step()
    with torch.no_grad():
        logits = model.eval().logits(tokens, tokens > 0, segments)[1]
    assert logits is not None
    assert (logits.argmax(1) == truth).float().mean() >= 0.95
