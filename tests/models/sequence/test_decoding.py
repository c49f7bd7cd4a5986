"""Rows 79 and 81: beams with a length penalty, rows beside each other, sampling against its law."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.chapters.sequence.decoding import ENDS, all_outputs, toy
from ragkit.models.sequence.decoding import beam, greedy, sample, select_rows
from ragkit.models.sequence.teacher_forcing import forced_logits


@pytest.mark.row(79)
@settings(max_examples=12, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.0, 0.6, 1.0]))
@torch.no_grad()
def test_wide_beam_is_exact(seed: int, penalty: float) -> None:
    decoder, state = toy(seed)
    outputs = all_outputs(decoder, state)
    assert abs(sum(map(math.exp, outputs.values())) - 1) < 1e-9
    found = beam(decoder.step, state, 1, ENDS, 31, penalty)[0]
    best = sorted(outputs, key=lambda tokens: -outputs[tokens] / len(tokens) ** penalty)
    assert [h.tokens for h in found] == best[: len(found)] and len(found) == len(outputs)
    assert all(abs(h.log_probability - outputs[h.tokens]) < 1e-9 for h in found)


@pytest.mark.row(79)
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
@torch.no_grad()
def test_rows_do_not_mix(seed: int) -> None:
    decoder, state = toy(seed, rows=3)
    for beams in (1, 2, 3):
        together = beam(decoder.step, state, 3, ENDS, beams)
        for row in range(3):
            alone = beam(decoder.step, select_rows(state, torch.tensor([row])), 1, ENDS, beams)[0]
            assert [h.tokens for h in together[row]] == [h.tokens for h in alone]


@pytest.mark.row(79)
@torch.no_grad()
def test_samples_follow_the_law() -> None:
    decoder, state = toy(3)
    outputs = all_outputs(decoder, state)
    many = select_rows(state, torch.zeros(20000, dtype=torch.long))
    generator = torch.Generator().manual_seed(0)
    drawn = [tuple(p) for p in sample(decoder.step, many, 20000, ENDS, generator=generator)]
    for tokens, log_probability in outputs.items():
        p = math.exp(log_probability)
        assert abs(drawn.count(tokens) / 20000 - p) < 4 * math.sqrt(p * (1 - p) / 20000) + 1e-4
    first = greedy(decoder.step, state, 1, ENDS)
    assert sample(decoder.step, state, 1, ENDS, top=1) == first
    assert sample(decoder.step, state, 1, ENDS, temperature=1e-4) == first
    with pytest.raises(ValueError, match="temperature"):
        sample(decoder.step, state, 1, ENDS, temperature=0)


@pytest.mark.row(81)
def test_what_is_no_probability_is_refused() -> None:
    decoder, state = toy(0)
    with pytest.raises(ValueError, match="probability"):
        forced_logits(decoder.step, state, torch.zeros(1, 2, dtype=torch.long), 0, 1.5)
