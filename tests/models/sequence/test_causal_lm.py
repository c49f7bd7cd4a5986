"""Rows 79 and 94: the causal model cached, and decoded as GPT-2 of the same weights."""

import pytest
import torch
from transformers import GPT2LMHeadModel

from ragkit.chapters.sequence.blocks import gpt2
from ragkit.models.sequence.causal_lm import CausalLM
from ragkit.models.sequence.decoding import Ends, beam, greedy

VOCABULARY, END = 17, 1


@pytest.fixture(scope="module")
def pair() -> tuple[GPT2LMHeadModel, CausalLM]:
    return gpt2(VOCABULARY, END)


@pytest.mark.row(79)
@pytest.mark.row(94)
def test_cache_equals_one_pass_in_any_portions(pair: tuple[GPT2LMHeadModel, CausalLM]) -> None:
    model = pair[1]
    tokens = torch.randint(VOCABULARY, (2, 10))
    whole, state, at = model(tokens), model.start(), 0
    for portion in (1, 4, 2, 3):
        logits, state = model.read(tokens[:, at : at + portion], state)
        assert (logits - whole[:, at : at + portion]).abs().max() < 1e-10
        at += portion


@pytest.mark.row(79)
def test_greedy_and_beam_equal_transformers(pair: tuple[GPT2LMHeadModel, CausalLM]) -> None:
    theirs, ours = pair
    begin = torch.zeros(1, 1, dtype=torch.long)
    options = {"max_new_tokens": 8, "pad_token_id": END, "do_sample": False}
    expected = theirs.generate(begin, **options)[0, 1:].tolist()
    ends = Ends(0, END, 8)
    with torch.no_grad():
        assert greedy(ours.step, ours.start(), 1, ends)[0] == expected
        for penalty in (0.0, 1.0):
            answer = theirs.generate(
                begin,
                num_beams=3,
                num_return_sequences=3,
                length_penalty=penalty,
                early_stopping="never",
                **options,
            )
            found = beam(ours.step, ours.start(), 1, ends, 3, penalty)[0]
            assert [list(h.tokens) for h in found] == [_cut(row) for row in answer[:, 1:].tolist()]


def _cut(tokens: list[int]) -> list[int]:
    return tokens[: tokens.index(END) + 1] if END in tokens else tokens
