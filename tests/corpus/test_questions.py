import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from ragkit.corpus.questions import Question, load_questions
from ragkit.errors import RagkitError


def lines(*records: Any) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(lines({"_id": "d1", "text": "x"}, {"_id": "d2", "text": "y"}))
    queries = lines(
        {"_id": "q1", "text": "one?"}, {"_id": "q2", "text": "two?"}, {"_id": "q3", "text": "three?"}
    )
    (folder / "queries.jsonl.gz").write_bytes(gzip.compress(queries.encode()))
    (folder / "answers.jsonl").write_text(lines({"_id": "q1", "answers": ["a", "b", "a"]}))
    header = "query-id\tcorpus-id\tscore\n"
    (folder / "qrels" / "train.tsv").write_text(header + "q3\td1\t1\n")
    (folder / "qrels" / "dev.tsv").write_text(header + "q1\td1\t2\nq1\td2\t1\r\nq2\td2\t1\n")
    return folder


def test_beir(beir: Path) -> None:
    dev = load_questions(beir)
    assert (dev.name, dev.split) == ("set", "dev")
    assert dev.questions == [
        Question("q1", "one?", ["a", "b"], {"d1": 2, "d2": 1}),
        Question("q2", "two?", [], {"d2": 1}),
    ]
    assert dev.documents is not None
    assert [document.id for document in dev.documents()] == ["d1", "d2"]
    assert [question.id for question in load_questions(beir, "train").questions] == ["q3"]
    (beir / "corpus.jsonl").unlink()
    assert load_questions(beir).documents is None


def test_beir_questions_without_an_answer_belong_to_the_only_split(beir: Path) -> None:
    answers = [{"_id": "q1", "answers": ["a"]}, {"_id": "q3", "answers": []}]
    (beir / "answers.jsonl").write_text(lines(*answers))
    assert [question.id for question in load_questions(beir, "dev").questions] == ["q1", "q2"]
    (beir / "qrels" / "train.tsv").unlink()
    assert load_questions(beir).questions[2:] == [Question("q3", "three?", [], {})]


def test_beir_prefers_test_to_dev(beir: Path) -> None:
    (beir / "qrels" / "test.tsv").write_text("q3\td2\t1\n")
    assert load_questions(beir).split == "test"
    assert [question.relevant for question in load_questions(beir).questions] == [{"d2": 1}]


def test_beir_that_does_not_fit_together(beir: Path, tmp_path: Path) -> None:
    with pytest.raises(RagkitError, match="no 'tset' among its splits; choose one of dev, train"):
        load_questions(beir, "tset")
    (beir / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\nq9\td1\t1\n")
    with pytest.raises(RagkitError, match=r"train\.tsv: 1 queries are not in .*'q9'"):
        load_questions(beir, "train")
    (beir / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\tmuch\n")
    with pytest.raises(RagkitError, match=r"train\.tsv:2: "):
        load_questions(beir, "train")
    (beir / "answers.jsonl").write_text(lines({"_id": "q1", "answers": "a"}))
    with pytest.raises(RagkitError, match=r"answers\.jsonl:1: "):
        load_questions(beir)
    with pytest.raises(RagkitError, match=r"queries\.jsonl is missing"):
        load_questions(tmp_path)


def test_squad_questions_are_relevant_to_the_documents_of_the_same_file(tmp_path: Path) -> None:
    qas = [
        {"id": "1", "question": "who?", "answers": [{"text": "Ada", "answer_start": 0}] * 2},
        {"id": "2", "question": "why?", "is_impossible": True, "answers": []},
    ]
    path = tmp_path / "dev.json"
    path.write_text(json.dumps({"data": [{"title": "A_b", "paragraphs": [{"context": "Ada.", "qas": qas}]}]}))
    loaded = load_questions(path)
    assert loaded.documents is not None
    [document] = loaded.documents()
    assert loaded.questions == [
        Question("1", "who?", ["Ada"], {document.id: 1}),
        Question("2", "why?", [], {document.id: 1}),
    ]
    with pytest.raises(RagkitError, match="has no splits"):
        load_questions(path, "dev")


def test_dpr_json(tmp_path: Path) -> None:
    positive = {"title": "T", "text": "yes", "passage_id": "17"}
    negative = {"title": "T", "text": "no"}
    entry = {
        "question": "q?",
        "answers": ["a"],
        "positive_ctxs": [positive],
        "hard_negative_ctxs": [negative],
    }
    path = tmp_path / "nq.json"
    path.write_text(json.dumps([entry, entry]))
    loaded = load_questions(path)
    (wrong,) = loaded.questions[0].negatives
    assert loaded.questions[0] == Question("1", "q?", ["a"], {"17": 1}, [wrong])
    assert loaded.documents is not None
    assert [(document.text, document.title) for document in loaded.documents()] == [("yes", "T"), ("no", "T")]


def test_dpr_answers_are_literals_and_nothing_is_evaluated(tmp_path: Path) -> None:
    path = tmp_path / "nq-test.qa.csv"
    path.write_text("who?\t['Ada', \"O'Neil\"]\nwhere?\t['here']\n")
    assert [(question.text, question.answers) for question in load_questions(path).questions] == [
        ("who?", ["Ada", "O'Neil"]),
        ("where?", ["here"]),
    ]
    proof = tmp_path / "proof"
    path.write_text(f"who?\t[open({str(proof)!r}, 'w').name]\n")
    with pytest.raises(RagkitError, match=r"nq-test\.qa\.csv:1: "):
        load_questions(path)
    assert not proof.exists()


def test_demo_questions_know_their_topics() -> None:
    demo = load_questions("demo:")
    assert demo.documents is not None
    topics = {document.id for document in demo.documents()}
    assert all(set(question.relevant) <= topics for question in demo.questions)
    assert sum(not question.answers for question in demo.questions) >= 20
    assert all(question.relevant for question in demo.questions if question.answers)


def test_what_is_no_question_set(tmp_path: Path) -> None:
    with pytest.raises(RagkitError, match="no such question set"):
        load_questions(tmp_path / "none")
    (tmp_path / "empty.json").write_text("[]")
    with pytest.raises(RagkitError, match="holds no questions"):
        load_questions(tmp_path / "empty.json")
    (tmp_path / "a.txt").write_text("?")
    with pytest.raises(RagkitError, match="not a question set"):
        load_questions(tmp_path / "a.txt")


def test_public_sets(shared_data: Path) -> None:
    assert len(load_questions(shared_data / "squad", "dev").questions) == 10_570
    unanswerable = load_questions(shared_data / "squad_rc" / "dev-v2.0.json.gz").questions
    assert (len(unanswerable), sum(not question.answers for question in unanswerable)) == (11_873, 5_945)
