"""The grounding score by hand, and on real answers of the packaged reader."""

import json
import math
from importlib.resources import files

import pytest
from sklearn.metrics import roc_auc_score

from ragkit.corpus.demo import demo_documents
from ragkit.corpus.document import Passage
from ragkit.corpus.splitting import split
from ragkit.generation.answer import Answer, Support
from ragkit.generation.grounding import grounding
from ragkit.generation.reader import ExtractiveReader
from ragkit.retrieval.hit import Hit

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


@pytest.mark.row(111)
def test_answers_from_and_with_shuffled_passages_score_lower() -> None:
    """Questions about the Python reference, answered from the passage with the evidence and from another."""
    passages = {document.id: split(document) for document in demo_documents()}
    pairs: list[tuple[str, Passage]] = []
    for line in (files("ragkit.corpus") / "demo_questions.jsonl").read_text("utf-8").splitlines():
        record = json.loads(line)
        wanted = " ".join((record["evidence"] or "").split())
        for passage in [one for topic in record["topics"] for one in passages.get(topic, [])]:
            if wanted and wanted in " ".join(passage.text.split()):
                pairs.append((record["text"], passage))
                break
        if len(pairs) == 40:
            break
    questions, own = [question for question, _ in pairs], [passage for _, passage in pairs]
    others = own[7:] + own[:7]
    reader = ExtractiveReader(allow_empty=False)
    from_own = reader.answer(questions, [[Hit(passage, 0.0, 1)] for passage in own])
    from_others = reader.answer(questions, [[Hit(passage, 0.0, 1)] for passage in others])

    def scores(answers: list[Answer]) -> list[float]:
        return [found.score for answer in answers if (found := grounding(answer))]

    moved = [
        Answer(answer.question, answer.text, answer.log_probability, other.support)
        for answer, other in zip(from_own, from_others, strict=True)
    ]
    good = scores(from_own)
    for bad in (scores(from_others), scores(moved)):
        assert roc_auc_score([1] * len(good) + [0] * len(bad), good + bad) >= 0.8
