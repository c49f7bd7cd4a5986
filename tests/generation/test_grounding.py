"""The grounding score by hand; `ragkit check 111` measures it on real answers."""

import math
from dataclasses import replace

import pytest

from ragkit.corpus.document import Passage
from ragkit.generation.answer import Answer, Support
from ragkit.generation.grounding import grounding

PASSAGES = ["The bridge was built in 1894. It is green.", "Nobody painted it."]


def answered(text: str, *likelihoods: float) -> Answer:
    support = [
        Support(Passage(f"p{i}", f"d{i}", passage, 0, len(passage)), 0.5, math.log(p), 0.5)
        for i, (passage, p) in enumerate(zip(PASSAGES, likelihoods, strict=False))
    ]
    return Answer("When was the bridge built?", text, -1.0, support)


def test_by_hand() -> None:
    found = grounding(answered("in 1894", 0.125, 0.9))
    assert found is not None and found.score == pytest.approx(0.5)  # two words and the end
    (sentence,) = found.sentences
    assert sentence.citation is not None and sentence.citation.passage.id == "p0"
    assert PASSAGES[0][sentence.citation.start : sentence.citation.end] == "in 1894"
    assert grounding(answered("", 0.5)) is None and grounding(answered(" \n", 0.5)) is None
    nothing = grounding(answered("elephants", 1.0, 1.0))
    assert nothing is not None and (nothing.score, nothing.sentences[0].citation) == (0.0, None)


def test_a_reader_chooses_two_places_however_long_its_answer() -> None:
    answer = answered("The bridge was built in 1894", 0.25)
    read = replace(answer, support=[replace(answer.support[0], start=0, end=28)])
    found, written = grounding(read), grounding(answer)
    assert found is not None and found.score == pytest.approx(0.5)
    assert written is not None and written.score == pytest.approx(0.25 ** (1 / 7))


def test_each_sentence_has_its_own_passage_and_weight() -> None:
    text = "It was built in 1894. Nobody painted it. Elephants danced around."
    found = grounding(answered(text, 1.0, 1.0))
    assert found is not None
    passages = [one.citation.passage.id if one.citation else None for one in found.sentences]
    assert passages == ["p0", "p1", None]
    assert [text[one.start : one.end] for one in found.sentences][1] == "Nobody painted it."
    assert found.score == pytest.approx((5 + 3) / 11)


def test_a_passage_must_both_say_it_and_be_read_so() -> None:
    found = grounding(answered("1894", 0.01, 1.0))
    assert found is not None and found.score == pytest.approx(0.1)
