"""Beam search against transformers' and against exhaustive search."""

import itertools

import numpy as np
import pytest
import torch

from ragkit.generation.beams import beam_search
from ragkit.generation.generator import Ending, token_log_likelihoods
from ragkit.generation.window import padded

QUESTION = "one two : red"
TEXTS = ["apple red pear", "green plum two blue one three", "blue"]


def read(generator, hits):
    return generator.read([QUESTION] * len(hits), [hit.passage for hit in hits], 8)[0]


@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize("penalty", [0.0, 1.0])
@pytest.mark.parametrize("kind", ["t5", "bart", "encoder-decoder", "pointer", "gpt2"])
def test_hypotheses_equal_those_of_transformers(tiny, hits, kind, penalty, beams):
    generator = tiny(kind, 1)
    found = hits(TEXTS)
    seq2seq = kind != "gpt2"
    prefix = len(generator.prefix) if seq2seq else 0
    stops = (2,)  # GPT-2's generation configuration knows no line's end
    ending = Ending(stops, generator.ending.forced, penalty, generator.ending.counted)
    ours = beam_search(
        read(generator, found), torch.zeros(3, 1), ending, beams=beams, max_tokens=7, min_tokens=3
    )
    inputs = padded(
        [_prompt(generator, hit) for hit in found], generator.tokenizer, torch.device("cpu"), left=not seq2seq
    )
    if kind != "encoder-decoder":
        inputs.pop("token_type_ids", None)
    theirs = generator.model.generate(
        **inputs,
        num_beams=beams,
        num_return_sequences=beams,
        max_new_tokens=7 + max(prefix - 1, 0),
        min_new_tokens=2 + max(prefix - 1, 0),
        length_penalty=penalty,
        do_sample=False,
        pad_token_id=3,
    )
    theirs = theirs[:, prefix if seq2seq else inputs["input_ids"].shape[1] :].reshape(3, beams, -1).tolist()
    assert [[found.tokens for found in group] for group in ours] == [
        [_cut(sequence) for sequence in group] for group in theirs
    ]


def _prompt(generator, hit):
    from ragkit.generation.prompts import Prompt

    return Prompt(generator.render(QUESTION, "", hit.passage.text), 0)


def _cut(sequence):
    return tuple(sequence[: sequence.index(2) + 1]) if 2 in sequence else tuple(sequence)


@pytest.mark.parametrize("kind", ["t5", "bart", "gpt2"])
def test_a_wide_beam_finds_the_best_of_all(tiny, hits, kind):
    generator = tiny(kind, 2)
    reading = read(generator, hits(TEXTS))
    vocabulary = reading.logits.shape[-1]
    log_prior = torch.log(torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64))
    ending = Ending((2,), length_penalty=0.0)
    (found,) = beam_search(reading, log_prior, ending, beams=vocabulary, max_tokens=2)
    outputs = [(2,), *(y for y in itertools.product(range(vocabulary), repeat=2) if y[0] != 2)]
    tokens = token_log_likelihoods(
        reading, [z for _ in outputs for z in range(3)], [y for y in outputs for _ in range(3)]
    ).numpy()
    mixed = np.exp(log_prior.numpy()[0, :, None] + tokens.reshape(-1, 3, 2)).sum(1)
    order = np.argsort(-np.log(mixed).sum(-1))
    assert [hypothesis.tokens for hypothesis in found[:5]] == [outputs[i] for i in order[:5]]
    best = [np.log(mixed[i]).sum() for i in order[:5]]
    assert [sum(hypothesis.log_p) for hypothesis in found[:5]] == pytest.approx(best, abs=1e-6)


def test_a_passage_of_no_weight_changes_nothing(tiny, hits):
    generator = tiny("t5", 3)
    ending = generator.ending
    two = beam_search(
        read(generator, hits(TEXTS[:2])), torch.log(torch.tensor([[0.6, 0.4]])), ending, beams=3, max_tokens=6
    )
    three = beam_search(
        read(generator, hits(TEXTS)),
        torch.log(torch.tensor([[0.6, 0.4, 0.0]])),
        ending,
        beams=3,
        max_tokens=6,
    )
    assert [found.tokens for found in two[0]] == [found.tokens for found in three[0]]


def test_groups_that_finish_early_leave_the_others_alone(tiny, hits):
    generator = tiny("bart", 4)
    # Half of the passages end at once, the other half writes on.
    reading = read(generator, hits([*TEXTS, *TEXTS]))
    reading.logits[::2, 2] += 50
    ending = Ending((2,), length_penalty=0.0)
    together = beam_search(reading, torch.zeros(6, 1), ending, beams=2, max_tokens=8)
    for row in range(6):
        alone = beam_search(
            reading.select(torch.tensor([row])), torch.zeros(1, 1), ending, beams=2, max_tokens=8
        )
        assert [found.tokens for found in together[row]] == [found.tokens for found in alone[0]]
    assert all(together[row][0].tokens == (2,) for row in range(0, 6, 2))


def test_a_margin_drops_what_is_far_less_likely_and_nothing_else(tiny, hits):
    generator = tiny("t5", 5)
    reading = read(generator, hits(TEXTS))
    whole, near = (
        beam_search(
            reading,
            torch.zeros(3, 1),
            Ending((2,), length_penalty=0.0, margin=margin),
            beams=4,
            max_tokens=6,
        )
        for margin in (float("inf"), 1.0)
    )
    for all_found, kept in zip(whole, near, strict=True):
        log_p = [sum(hypothesis.log_p) for hypothesis in all_found]
        assert kept == [y for y, p in zip(all_found, log_p, strict=True) if p >= log_p[0] - 1.0]
    assert sum(map(len, near)) < sum(map(len, whole))


def test_no_answer_ends_before_its_least_length(tiny, hits):
    generator = tiny("t5", 5)
    reading = read(generator, hits(TEXTS))
    reading.logits[:, 2] += 50
    free = beam_search(reading, torch.zeros(3, 1), generator.ending, beams=3, max_tokens=6)
    held = beam_search(reading, torch.zeros(3, 1), generator.ending, beams=3, max_tokens=6, min_tokens=4)
    assert min(len(y.tokens) for group in free for y in group) == 1
    assert all(2 not in y.tokens[:3] and len(y.tokens) <= 6 for group in held for y in group)
