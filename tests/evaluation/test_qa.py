"""Answers are graded, and every miss is of one kind."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hashing_encoder import HashingEncoder

from ragkit.corpus.document import Document
from ragkit.corpus.questions import Question, QuestionSet, load_questions
from ragkit.corpus.splitting import Splitting
from ragkit.errors import RagkitError
from ragkit.evaluation.qa import MISSES, QaReport, evaluate_qa
from ragkit.evaluation.report import compare_values, qa_table, read_values, write_json, write_records
from ragkit.generation.answer import Answer, Support
from ragkit.generation.answerer import Answerer
from ragkit.retrieval.hit import Hit
from ragkit.retrieval.index import Index

DOCUMENTS = [
    Document("apple", "The apple is red and grows on hill 5.", splittable=False),
    Document("pear", "A pear is green. It ripens late.", splittable=False),
    Document("plum", "Plums are blue, said Ada Lovelace.", splittable=False),
    Document("far", "Nothing of that kind stands in this text at all.", splittable=False),
]


class Saying(Answerer):
    """Says what it was told to, and notes what it was given."""

    def __init__(self, said: dict[str, str], index: Index | None = None, k: int = 1) -> None:
        super().__init__(index, k=k, mode="lexical")
        self.said = said
        self.given: dict[str, list[Hit]] = {}

    def answer(
        self, questions: Sequence[str], hits: Sequence[Sequence[Hit]], *, why: bool = False
    ) -> list[Answer]:
        self.given |= {question: list(found) for question, found in zip(questions, hits, strict=True)}
        return [
            Answer(
                question,
                self.said.get(question, ""),
                -0.5,
                [Support(h.passage, 1.0, 0.0, 1.0) for h in found],
            )
            for question, found in zip(questions, hits, strict=True)
        ]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("index") / "fruit"
    return Index.build(DOCUMENTS, folder, encoder=HashingEncoder(), splitting=Splitting(unit="none"))


def fruit(*questions: Question) -> QuestionSet:
    return QuestionSet("fruit", "test", list(questions), lambda: iter(DOCUMENTS))


def misses(report: QaReport) -> dict[str, str | None]:
    return {record.id: record.miss for record in report.records}


def test_each_miss_is_of_one_kind(index: Index) -> None:
    questions = fruit(
        Question("right", "which apple is red", ["The red apple", "apple"], {"apple": 1}),
        Question("unused", "which pear is green", ["late"], {"pear": 1}),
        Question("unfound", "nothing stands in this text", ["Ada"], {"plum": 1}),
        Question("absent", "which apple", ["kiwi"], {"kiwi": 1}),
        Question("unanswerable", "nothing", []),
        Question("baseless", "which pear", []),
    )
    said = {"which apple is red": "red apple.", "which pear is green": "early"}
    said |= {"which apple": "apple", "nothing stands in this text": "text", "which pear": "green"}
    report = evaluate_qa(Saying(said, index), questions, name="saying")
    assert misses(report) == {
        "right": None,
        "unused": "retrieved but not used",
        "unfound": "not retrieved",
        "absent": "not in the corpus",
        "unanswerable": None,
        "baseless": "answered without a basis",
    }
    assert list(report.misses.values()) == [1, 1, 1, 1]
    assert tuple(report.misses) == MISSES
    assert report.measures["EM"].mean == pytest.approx(2 / 6)
    assert report.measures["F1"].mean == pytest.approx(2 / 6)
    found = report.measures["Success@1"]
    assert (found.mean, found.questions) == (2 / 4, 4)  # of the questions that have an answer
    assert [record.retrieved for record in report.records[:4]] == [True, True, False, False]
    assert report.records[0].passages == ["apple"]


def test_without_judgements_the_answer_s_words_decide(index: Index) -> None:
    questions = fruit(
        Question("unused", "which plums are blue", ["ada lovelace"]),
        Question("unfound", "which pear is green", ["Ada Lovelace!"]),
        Question("absent", "which pear", ["Charles"]),
        Question("part of a word", "which apple", ["ill 5"]),
        Question("across passages", "the pear", ["late plums"]),
    )
    report = evaluate_qa(Saying({}, index), questions, name="silent")
    assert misses(report) == {
        "unused": "retrieved but not used",
        "unfound": "not retrieved",
        "absent": "not in the corpus",
        "part of a word": "not in the corpus",
        "across passages": "not in the corpus",
    }


def test_judgements_of_documents_count_their_passages(tmp_path: Path) -> None:
    text = "One apple is red. " * 4 + "One pear is green. " * 4
    index = Index.build(
        [Document("long", text), *DOCUMENTS[2:]],
        tmp_path / "index",
        encoder=HashingEncoder(),
        splitting=Splitting(size=12, overlap=0),
    )
    passage = index.search("pear green", 1, mode="lexical")[0].passage.id
    assert passage.startswith("long#")
    questions = fruit(
        Question("document", "pear green", ["late"], {"long": 1}),
        Question("passage", "pear green", ["late"], {passage: 1}),
        Question("another passage", "apple red", ["late"], {passage: 1}),
        Question("no such document", "nothing", ["late"], {"short#0-5": 1}),
    )
    report = evaluate_qa(Saying({}, index), questions, name="silent")
    assert list(misses(report).values()) == [
        "retrieved but not used",
        "retrieved but not used",
        "not retrieved",
        "not in the corpus",
    ]


def test_gold_passages_are_given_whole() -> None:
    questions = fruit(
        Question("both", "which fruit", ["green"], {"apple": 1, "pear": 2, "plum": 0}),
        Question("unanswerable", "whose", [], {"plum": 1}),
        Question("absent", "which other", ["yellow"], {"kiwi": 1}),
    )
    answerer = Saying({"which fruit": "green"})
    report = evaluate_qa(answerer, questions, name="saying")
    given = answerer.given["which fruit"]
    assert {hit.passage.id: hit.passage.text for hit in given} == {d.id: d.text for d in DOCUMENTS[:2]}
    assert {hit.score for hit in given} == {0.0}
    assert list(misses(report).values()) == [None, None, "not in the corpus"]
    assert "Success@1" not in report.measures
    assert [record.retrieved for record in report.records] == [None, None, None]


def test_squad_2_in_its_own_layout(tmp_path: Path) -> None:
    asked = [
        {"id": "1", "question": "What is red?", "answers": [{"text": "apple", "answer_start": 4}]},
        {"id": "2", "question": "Who is red?", "answers": [], "is_impossible": True},
        {"id": "3", "question": "Why?", "answers": [], "is_impossible": True},
    ]
    paragraph = {"context": DOCUMENTS[0].text, "qas": asked}
    path = tmp_path / "dev.json"
    path.write_text(json.dumps({"version": "v2.0", "data": [{"title": "A", "paragraphs": [paragraph]}]}))
    answerer = Saying({"What is red?": "An apple", "Why?": "because"})
    report = evaluate_qa(answerer, load_questions(path), name="saying")
    assert [record.exact for record in report.records] == [1, 1, 0]
    assert report.records[2].miss == "answered without a basis"
    assert answerer.given["Who is red?"][0].passage.text == DOCUMENTS[0].text


def test_reports_as_files(index: Index, tmp_path: Path) -> None:
    questions = fruit(
        *(Question(f"q{at}", f"which apple is {at}", ["apple"], {"apple": 1}) for at in range(70))
    )
    said = {f"which apple is {at}": "the apple" if at % 2 else "red apple" for at in range(70)}
    progress: list[tuple[int, int]] = []
    report = evaluate_qa(
        Saying(said, index),
        questions,
        name="saying",
        on_questions=lambda done, total: progress.append((done, total)),
    )
    assert progress[-1] == (70, 70) and progress == sorted(progress) and len(progress) > 1
    assert report.measures["EM"].mean == 0.5
    assert report.measures["F1"].mean == pytest.approx((1 + 2 / 3) / 2)
    assert report.measures["EM"].low < 0.5 < report.measures["EM"].high
    write_json(report, tmp_path / "new" / "a.json")
    write_records(report, tmp_path / "new" / "a.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "new" / "a.jsonl").read_text().splitlines()]
    content = json.loads((tmp_path / "new" / "a.json").read_text())
    assert lines == content["records"] == [record.to_json() for record in report.records]
    assert content["misses"]["retrieved but not used"] == 35
    assert content["config"] == {**Saying(said, index).config, "filter": None}
    name, asked, values = read_values(tmp_path / "new" / "a.json")
    assert (name, asked) == ("saying", [f"q{at}" for at in range(70)])
    [em, f1], changed = compare_values((asked, values), (asked, {**values, "EM": [1.0] * 70}))
    assert (em.wins, em.ties, f1.ties) == (35, 35, 70)
    assert em.p < 0.001 and len(changed["EM"]) == 35
    table = qa_table([report])
    assert str(report.measures["F1"]) in table and "retrieved but not used" in table
    (tmp_path / "file").touch()
    with pytest.raises(RagkitError, match="cannot be written"):
        write_json(report, tmp_path / "file" / "a.json")


def test_filters_reach_the_search(index: Index) -> None:
    answerer = Saying({}, index)
    questions = fruit(Question("q", "which apple", ["x"], {"apple": 1}))
    evaluate_qa(answerer, questions, name="silent", filter='lang == "de"')
    assert answerer.given["which apple"] == []


def test_what_cannot_be_graded_is_refused(index: Index) -> None:
    with pytest.raises(RagkitError, match="no question has a gold answer"):
        evaluate_qa(Saying({}, index), fruit(Question("q", "which", [], {"apple": 1})), name="x")
    without = QuestionSet("fruit", "test", [Question("q", "which", ["x"], {"apple": 1})])
    with pytest.raises(RagkitError, match="comes without its documents"):
        evaluate_qa(Saying({}), without, name="x")
