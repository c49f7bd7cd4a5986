"""Models measured by questions with gold answers and passages."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragkit.corpus.questions import QuestionSet, load_questions
from ragkit.errors import RagkitError
from ragkit.training.compression import judging
from ragkit.training.compression.judging import Judge, judge_of
from ragkit.training.compression.subject import Role, load_subject

PLANETS = ("Mercury", "Venus", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune", "Pluto")
FINDERS = ("Anna", "Boris", "Clara", "David", "Emma", "Felix", "Greta", "Hugo")


@pytest.fixture
def squad(tmp_path: Path) -> QuestionSet:
    paragraphs = []
    for planet, finder in zip(PLANETS, FINDERS, strict=True):
        context = f"The planet {planet} was first seen by {finder} on a clear night. It is far away."
        asked = {
            "id": planet,
            "question": f"Who saw {planet} first?",
            "answers": [{"text": finder, "answer_start": context.index(finder)}],
        }
        paragraphs.append({"context": context, "qas": [asked]})
    path = tmp_path / "planets.json"
    path.write_text(json.dumps({"data": [{"title": "Planets", "paragraphs": paragraphs}]}))
    return load_questions(path)


@pytest.mark.parametrize(
    ("role", "measure"),
    [("reader", "F1"), ("generator", "F1"), ("reranker", "nDCG@10"), ("encoder", "R@10")],
)
def test_packaged_models_answer_and_find(role: Role, measure: str, squad: QuestionSet) -> None:
    judge = judge_of(role, squad)
    subject = load_subject("packaged", role)
    values = judge.values(subject)
    assert judge.measure == measure and values.shape == (8,) and ((values >= 0) & (values <= 1)).all()
    assert values.mean() > 0.7
    broken(subject)
    # The encoder is loaded anew: what is judged is what was saved.
    assert role == "encoder" or judge.values(subject).mean() < values.mean()
    assert (judge.baseline() is None) == (role != "reranker")


def broken(subject: Any) -> None:
    import torch

    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in subject.network.parameters():
            parameter.normal_(0, 0.5)


def test_a_reranker_is_compared_with_the_order_it_was_given(squad: QuestionSet) -> None:
    baseline: Any = judge_of("reranker", squad).baseline()
    name, values = baseline
    assert "BM25" in name and np.allclose(values, 1)  # each planet's name stands in one paragraph


def test_an_encoder_searches_the_relevant_passages_and_so_many_others(
    squad: QuestionSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "POOL", 3)
    squad.questions = squad.questions[:2]
    judge: Any = judge_of("encoder", squad)
    assert len(judge._passages) == 5
    assert {name for q in squad.questions for name in q.relevant} <= {d.id for d in judge._passages}


def test_questions_that_cannot_judge_are_named(squad: QuestionSet, tmp_path: Path) -> None:
    for question in squad.questions:
        question.answers = []
    with pytest.raises(RagkitError, match="gold answers and passages"):
        judge_of("reader", squad)
    lone = QuestionSet("lone", "all", squad.questions)
    for role in ("reranker", "encoder"):
        with pytest.raises(RagkitError, match="which are relevant"):
            judge_of(role, lone)  # type: ignore[arg-type]


def test_no_answer_may_win_where_a_question_has_none(squad: QuestionSet) -> None:
    def allowed(judge: Judge) -> bool:
        return judge._allow_empty  # type: ignore[attr-defined, no-any-return]

    assert not allowed(judge_of("reader", squad))
    squad.questions[0].answers = []
    assert allowed(judge_of("reader", squad))
