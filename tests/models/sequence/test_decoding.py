"""Rows 79 and 81: search against enumeration, sampling against its law, teacher forcing's draws."""

import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.models.sequence.decoding import Ends, beam, greedy, sample, select_rows
from ragkit.models.sequence.recurrent_decoder import RecurrentDecoder
from ragkit.models.sequence.teacher_forcing import forced_logits
from ragkit.models.sequence.transformer import Transformer, shifted_right

ENDS = Ends(begin=0, end=2, longest=4)


def toy(seed: int, rows: int = 1) -> tuple[RecurrentDecoder, tuple[torch.Tensor, torch.Tensor]]:
    torch.manual_seed(seed)
    decoder = RecurrentDecoder(3, 4, 5).double()
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.mul_(4)  # far from uniform
    return decoder, (torch.randn(rows, 5).double(), torch.randn(rows, 5).double())


def all_outputs(decoder: RecurrentDecoder, state: Any) -> dict[tuple[int, ...], float]:
    """log p of every output of the three-token language: ended ones, and those cut at the longest length."""
    outputs = {}
    for length in range(1, ENDS.longest + 1):
        for body in itertools.product((0, 1), repeat=length - 1):
            for last in (2,) if length < ENDS.longest else (0, 1, 2):
                tokens = (*body, last)
                inputs = torch.tensor([[ENDS.begin, *tokens[:-1]]])
                scores = decoder(inputs, state)[0].log_softmax(-1)
                outputs[tokens] = sum(scores[at, token].item() for at, token in enumerate(tokens))
    return outputs


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
def test_beam_of_one_is_greedy_and_rows_do_not_mix(seed: int) -> None:
    decoder, state = toy(seed, rows=3)
    paths = greedy(decoder.step, state, 3, ENDS)
    assert [list(h[0].tokens) for h in beam(decoder.step, state, 3, ENDS, 1)] == paths
    for beams in (2, 3):
        together = beam(decoder.step, state, 3, ENDS, beams)
        for row in range(3):
            alone = beam(decoder.step, select_rows(state, torch.tensor([row])), 1, ENDS, beams)[0]
            assert [h.tokens for h in together[row]] == [h.tokens for h in alone]


@pytest.mark.row(79)
@torch.no_grad()
def test_cached_decoding_is_decoding_without_a_cache() -> None:
    torch.manual_seed(0)
    model = Transformer(9, 12, 2, 3, 20).double().eval()
    source = torch.randint(1, 9, (3, 6))
    cached = greedy(model.step, model.start(source), 3, Ends(1, 2, 7))
    prefixes = [[1], [1], [1]]
    for _ in range(7):
        for row, prefix in enumerate(prefixes):
            if len(prefix) == 1 or prefix[-1] != 2:
                logits = model(source[row : row + 1], torch.tensor([prefix]))
                prefix.append(int(logits[0, -1].argmax()))
    assert cached == [prefix[1:] for prefix in prefixes]


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
def test_draw_rate_and_what_is_fed() -> None:
    decoder, state = toy(0)
    rows = select_rows(state, torch.zeros(20000, dtype=torch.long))
    impossible = torch.full((20000, 6), 7)  # no token of the model's own: draws can be told apart
    decoder.tokens = torch.nn.Embedding(8, 4).double()
    for p in (0.0, 0.3, 1.0):
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            logits, fed = forced_logits(decoder.step, rows, impossible, 0, p, generator)
        assert not fed[:, 0].any()
        assert abs((fed[:, 1:] == 7).double().mean().item() - p) < 0.01
        own = fed[:, 1:] != 7
        assert torch.equal(fed[:, 1:][own], logits.argmax(-1)[:, :-1][own])


@pytest.mark.row(81)
def test_probability_one_is_the_parallel_loss() -> None:
    torch.manual_seed(0)
    model = Transformer(9, 12, 2, 3, 20).double().eval()
    source, target = torch.randint(1, 9, (3, 6)), torch.randint(1, 9, (3, 5))
    stepwise, fed = forced_logits(model.step, model.start(source), target, begin=1, probability=1.0)
    parallel = model(source, shifted_right(target, 1))
    assert torch.equal(fed, shifted_right(target, 1))
    assert (stepwise - parallel).abs().max() < 1e-10
    first = torch.autograd.grad(stepwise.square().sum(), model.tokens.weight, retain_graph=True)[0]
    assert (torch.autograd.grad(parallel.square().sum(), model.tokens.weight)[0] - first).abs().max() < 1e-9
    with pytest.raises(ValueError, match="probability"):
        forced_logits(model.step, None, target, 1, 1.5)
