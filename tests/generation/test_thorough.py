"""Scoring that leaves out what cannot win, against scoring everything."""

import numpy as np
import pytest

import ragkit.generation.thorough as thorough_module
from ragkit.generation.candidates import Candidates, unknown
from ragkit.generation.generator import token_log_likelihoods
from ragkit.generation.marginal import log_sum
from ragkit.generation.rag_sequence import RagSequence
from ragkit.generation.thorough import score

QUESTION = "one two : red"
TEXTS = ["apple red pear", "green plum two blue one three", "blue", "pear / two red"]
KINDS = ["t5", "bart", "encoder-decoder", "pointer", "gpt2"]
ANSWERS = [(5, 6, 7, 2), (5, 6, 2), (5, 6, 7, 8, 9, 10, 11, 2), (2,), (9,), (5, 6, 7, 8), (10, 11, 2)]


def read(generator, found):
    return generator.read([QUESTION] * len(found), [hit.passage for hit in found], 12)[0]


def exactly(reading, first, answers, passages):
    """log p of every token of every answer under every passage, (C, k, T), each answer scored whole."""
    rows = [first + z for _ in answers for z in range(passages)]
    tokens = token_log_likelihoods(reading, rows, [y for y in answers for _ in range(passages)])
    return tokens.numpy().reshape(len(answers), passages, -1)


def proposed(everything, answers, chance):
    """Candidates of which each passage knows some, as if its beams had proposed them."""
    found_by = chance.random(everything.shape[:2]) < 0.4
    found_by[found_by.sum(1) == 0, 0] = True
    log_p = unknown(answers, everything.shape[1])
    log_p[found_by] = everything[found_by]
    return Candidates(answers, found_by, log_p)


@pytest.mark.parametrize("keep", [None, 1, 2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_the_likeliest_are_those_of_scoring_everything(tiny, hits, kind, keep):
    generator = tiny(kind, 1)
    reading = read(generator, hits([*TEXTS, *TEXTS[:2]]))
    chance = np.random.default_rng(0)
    priors = [np.log([0.4, 0.3, 0.2, 0.1]), np.log([0.9, 0.1])]
    whole = [exactly(reading, 0, ANSWERS, 4), exactly(reading, 4, ANSWERS[:5], 2)]
    given = [proposed(whole[0], ANSWERS, chance), proposed(whole[1], ANSWERS[:5], chance)]
    for found, everything, answers, prior in zip(
        score(reading, given, priors, keep), whole, (ANSWERS, ANSWERS[:5]), priors, strict=True
    ):
        log_p = log_sum(prior + everything.sum(-1))
        best = np.sort(np.argsort(-log_p)[:keep])
        assert found.answers == [answers[c] for c in best]
        assert found.log_p == pytest.approx(everything[best], abs=1e-5)


@pytest.mark.parametrize("kind", ["t5", "pointer"])
def test_what_cannot_win_is_not_read(tiny, hits, monkeypatch, kind):
    generator = tiny(kind, 2)
    found = hits(TEXTS)
    reading = read(generator, found)
    everything = exactly(reading, 0, ANSWERS, 4)
    # One passage and one candidate have all the weight, so that one pass scores it and rules out the rest.
    chance = np.random.default_rng(1)
    prior = np.log(np.array([1 - 3e-30, 1e-30, 1e-30, 1e-30]))
    candidates = proposed(everything, ANSWERS, chance)
    candidates.log_p[:, 0] = np.where(
        np.isnan(candidates.log_p[:, 0]), everything[:, 0], candidates.log_p[:, 0]
    )
    tokens = []
    extend = type(reading).extend
    monkeypatch.setattr(
        type(reading), "extend", lambda self, fed: tokens.append(fed.numel()) or extend(self, fed)
    )
    (best,) = score(reading, [candidates], [prior], 1)
    alone = sum(tokens)
    tokens.clear()
    (all_of_them,) = score(reading, [proposed(everything, ANSWERS, chance)], [prior])
    assert best.answers[0] == all_of_them.answers[int(log_sum(prior + all_of_them.log_p.sum(-1)).argmax())]
    assert alone <= 3 * 7 < sum(tokens)


@pytest.mark.parametrize("stride", [1, 3])
def test_strides_change_nothing(tiny, hits, monkeypatch, stride):
    monkeypatch.setattr(thorough_module, "STRIDE", stride)
    monkeypatch.setattr(thorough_module, "LEADERS_STRIDE", stride)
    generator = tiny("bart", 3)
    reading = read(generator, hits(TEXTS))
    everything = exactly(reading, 0, ANSWERS, 4)
    given = proposed(everything, ANSWERS, np.random.default_rng(2))
    (found,) = score(reading, [given], [np.log(np.full(4, 0.25))], 3)
    log_p = log_sum(np.log(0.25) + everything.sum(-1))
    assert found.answers == [ANSWERS[c] for c in np.sort(np.argsort(-log_p)[:3])]
    reached = log_sum(np.log(0.25) + found.log_p.sum(-1))
    assert np.sort(reached) == pytest.approx(np.sort(log_p)[-3:], abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("beams", [1, 4, 64])
def test_answers_do_not_depend_on_how_many_alternatives_are_told(tiny, hits, kind, beams):
    generator = tiny(kind, 4)
    found = [hits(TEXTS), hits(TEXTS[:1]), hits([TEXTS[1]] * 3)]  # the last one's beams are all tied
    few, all_of_them = (
        RagSequence(None, generator, beams=beams, max_answer_tokens=5, alternatives=n).answer(
            [QUESTION, "pear", "two"], found
        )
        for n in (1, 10_000)
    )
    for one, other in zip(few, all_of_them, strict=True):
        assert one.text == other.text
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-6)
        assert one.alternatives[:1] == [
            (text, pytest.approx(log_p, abs=1e-6)) for text, log_p in other.alternatives[:1]
        ]
        for ours, theirs in zip(one.support, other.support, strict=True):
            assert ours.passage == theirs.passage
            assert ours.posterior == pytest.approx(theirs.posterior, abs=1e-6)
