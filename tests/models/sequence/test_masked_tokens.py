"""The corruption of masked language modelling: the notes' form, both conventions, whole words."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.models.sequence.bert_pretraining import IGNORED
from ragkit.models.sequence.masked_tokens import Masking, mask_tokens, select

MASK, VOCABULARY = 103, 30522


@pytest.mark.row(96)
@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 60), st.sampled_from(["token", "sequence"]))
def test_whole_words_are_selected_or_left(data: st.DataObject, width: int, selection: str) -> None:
    starts = data.draw(st.lists(st.booleans(), min_size=width, max_size=width))
    words = torch.tensor([starts]).cumsum(1)
    maskable = torch.tensor([data.draw(st.lists(st.booleans(), min_size=width, max_size=width))])
    masking = Masking(MASK, VOCABULARY, rate=0.5, selection=selection)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 9)))
    chosen = select(maskable, masking, words, generator)
    assert not (chosen & ~maskable).any()
    for word in words.unique():
        parts = chosen[maskable & (words == word)]
        assert parts.all() or not parts.any()
    if selection == "sequence" and maskable.any():
        assert chosen.sum() <= max(1, round(0.5 * int(maskable.sum())))


@pytest.mark.row(96)
@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=8))
def test_google_convention_is_exact(lengths: list[int]) -> None:
    maskable = torch.arange(50) < torch.tensor(lengths)[:, None]
    chosen = select(maskable, Masking(MASK, VOCABULARY, selection="sequence"))
    for row, length in enumerate(lengths):
        assert chosen[row].sum() == (max(1, round(0.15 * length)) if length else 0)


@pytest.mark.row(96)
def test_the_same_generator_gives_the_same_masks() -> None:
    tokens, maskable = torch.arange(1000, 2000)[None], torch.ones(1, 1000, dtype=torch.bool)
    masking = Masking(MASK, VOCABULARY)
    first, second = (
        mask_tokens(tokens, maskable, masking, generator=torch.Generator().manual_seed(1)) for _ in range(2)
    )
    assert torch.equal(first[0], second[0])


@pytest.mark.row(96)
def test_the_notes_select_every_token() -> None:
    tokens, maskable = torch.arange(1000, 2000)[None], torch.rand(1, 1000) < 0.5
    corrupted, labels = mask_tokens(tokens, maskable, Masking(MASK, VOCABULARY, selection="notes"))
    assert torch.equal(labels, tokens.masked_fill(~maskable, IGNORED))
    assert torch.equal(corrupted[~maskable], tokens[~maskable])
    assert abs((corrupted == MASK)[maskable].float().mean() - 0.8) < 0.1
