"""Hard negatives out of an index: what is positive, what is left out, what the file says."""

import json
from pathlib import Path
from typing import Any

import pytest
from hashing_encoder import HashingEncoder

from ragkit.corpus.document import Document
from ragkit.corpus.questions import Question, QuestionSet, load_questions
from ragkit.corpus.splitting import Splitting
from ragkit.errors import RagkitError
from ragkit.retrieval.index import Index
from ragkit.training.retrieval.data import read_retrieval_set
from ragkit.training.retrieval.mining import MiningReport, MiningSettings, mine

TEXTS = {
    "seine": "The Seine is the river of Paris, and Rouen lies on the Seine.",
    "paris": "Paris is the capital of France and lies on a river.",
    "rome": "Rome is the capital of Italy and lies on a river.",
    "bern": "Bern is the seat of the government and lies on a river.",
    "cats": "Cats sleep most of the day.",
    "dogs": "Dogs bark at cats at night.",
    "bread": "Bread is baked from flour, water and salt.",
    "tea": "Tea is drunk hot in the afternoon.",
}
RIVER = "Which river lies on the capital of France?"


@pytest.fixture
def index(tmp_path: Path) -> Index:
    documents = [Document(name, text, name.title(), splittable=False) for name, text in TEXTS.items()]
    return Index.build(documents, tmp_path / "index", encoder=HashingEncoder(dimension=256))


def mined(index: Index, *questions: Question, **changed: Any) -> tuple[list[dict[str, Any]], MiningReport]:
    out = index.path.parent / "mined.json"
    given: dict[str, Any] = {"margin": None} | changed
    report = mine(index, QuestionSet("set", "all", list(questions)), out, MiningSettings(**given))
    return json.loads(out.read_text()), report


def ids(entry: dict[str, Any], kind: str) -> list[str]:
    return [context["passage_id"] for context in entry[f"{kind}_ctxs"]]


def test_the_nearest_wrong_passages_of_both_sides_come_first(index: Index) -> None:
    entries, report = mined(index, Question("q", RIVER, ["Seine"], {"seine": 1}), negatives=3)
    (entry,) = entries
    assert ids(entry, "positive") == ["seine"] and entry["question"] == RIVER and entry["id"] == "q"
    assert set(ids(entry, "hard_negative")) == {"paris", "rome", "bern"}
    first = {
        index.search(RIVER, 2, mode=mode)[at].passage.id for mode in ("dense", "lexical") for at in (0, 1)
    }
    assert ids(entry, "hard_negative")[0] in first
    assert (report.questions, report.written, report.negatives) == (1, 1, 3)
    context = entry["positive_ctxs"][0]
    assert context["title"] == "Seine" and context["text"] == TEXTS["seine"]


def test_scores_are_the_dense_sides(index: Index) -> None:
    (entry,), _ = mined(index, Question("q", RIVER, [], {"cats": 1}), negatives=7)
    scores = {hit.passage.id: hit.score for hit in index.search(RIVER, 8, mode="dense")}
    for context in entry["positive_ctxs"] + entry["hard_negative_ctxs"]:
        assert context["score"] == pytest.approx(scores[context["passage_id"]], abs=1e-5)


def test_what_holds_an_answer_is_no_negative(index: Index) -> None:
    asked = Question("q", RIVER, ["the capital!"], {"seine": 1})
    (entry,), report = mined(index, asked, negatives=7)
    assert not {"paris", "rome"} & set(ids(entry, "hard_negative"))
    assert len(ids(entry, "hard_negative")) == 5 and report.with_answer == 2


def test_what_scores_like_the_positive_is_no_negative(index: Index) -> None:
    asked = Question("q", RIVER, [], {"rome": 1})
    scores = {hit.passage.id: hit.score for hit in index.search(RIVER, 8, mode="dense")}
    for margin in (0.0, 0.3):
        (entry,), report = mined(index, asked, negatives=7, margin=margin)
        ceiling = scores["rome"] - margin * abs(scores["rome"])
        expected = {name for name, score in scores.items() if score <= ceiling} - {"rome"}
        assert set(ids(entry, "hard_negative")) == expected
        assert report.within_margin == 7 - len(expected) > 0


def test_without_a_judgement_the_best_passage_that_holds_an_answer_is_positive(index: Index) -> None:
    (entry,), report = mined(
        index, Question("q", "capital river", ["Italy"]), Question("r", "capital river", ["Peru"])
    )
    assert entry["id"] == "q" and ids(entry, "positive") == ["rome"]
    assert (report.questions, report.written, report.without_positive) == (2, 1, 1)


def test_of_a_document_in_parts_the_part_with_the_answer_is_positive_and_none_negative(
    tmp_path: Path,
) -> None:
    text = "Rome lies on a river. " + "Much is said of hills. " * 4 + "Bread is baked in ovens."
    documents = [Document("long", text), Document("other", "Tea is drunk. Rivers flow in Rome.")]
    index = Index.build(
        documents, tmp_path / "index", encoder=HashingEncoder(), splitting=Splitting("words", 6, 0)
    )
    (entry,), _ = mined(index, Question("q", "Rome river?", ["baked in ovens"], {"long": 1}), negatives=9)
    (positive,) = entry["positive_ctxs"]
    assert "baked in ovens" in positive["text"] and positive["passage_id"].startswith("long#")
    assert all(name.startswith("other") for name in ids(entry, "hard_negative"))
    (plain,), _ = mined(index, Question("q", "Rome river?", [], {"long": 1}))
    assert ids(plain, "positive")[0].startswith("long#")


def test_the_file_is_a_question_set_and_training_data(index: Index, tmp_path: Path) -> None:
    asked = [
        Question("q", RIVER, ["Seine"], {"seine": 1}),
        Question("r", "Who barks?", ["Dogs"], {"dogs": 1}),
    ]
    mined(index, *asked, negatives=2)
    path = tmp_path / "mined.json"
    loaded = load_questions(path)
    assert [(q.id, q.text, q.answers, q.relevant) for q in loaded.questions] == [
        (q.id, q.text, q.answers, q.relevant) for q in asked
    ]
    data = read_retrieval_set(path)
    for example, entry in zip(data.examples, json.loads(path.read_text()), strict=True):
        shown = [data.passages[at][1] for at in example.negatives]
        assert shown == [context["text"] for context in entry["hard_negative_ctxs"]] and len(shown) == 2
        assert [data.passages[at][1] for at in example.positives] == [entry["positive_ctxs"][0]["text"]]


def test_questions_about_something_else_are_one_line_and_leave_no_file(index: Index) -> None:
    with pytest.raises(RagkitError, match="no passage that answers"):
        mined(index, Question("q", RIVER, [], {"unknown": 1}))
    assert not [path for path in index.path.parent.iterdir() if "mined" in path.name]
