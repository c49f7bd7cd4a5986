"""Retrieval is measured on the ids that the judgements speak of, and its costs are those of the index."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hashing_encoder import HashingEncoder

from ragkit.corpus.document import Document, Passage
from ragkit.corpus.questions import Question, QuestionSet
from ragkit.corpus.splitting import Splitting
from ragkit.errors import RagkitError
from ragkit.evaluation.metrics import evaluate_run
from ragkit.evaluation.report import compare_values, draw_recall, read_values, retrieval_table, write_json
from ragkit.evaluation.retrieval import evaluate, evaluate_retrieval, peak_memory
from ragkit.evaluation.runs import read_run, write_run
from ragkit.retrieval.hit import Hit
from ragkit.retrieval.index import Index

WORDS = "apple pear plum cherry grape melon lemon fig date kiwi".split()


def documents() -> list[Document]:
    """Twenty of three sentences; document i speaks of word i."""
    return [
        Document(
            f"d{at}",
            f"Number {at} is about {WORDS[at % 10]} here. It grows on hill {at}. Water is near.",
            metadata={"even": at % 2 == 0},
        )
        for at in range(20)
    ]


def question_set(relevant: list[dict[str, int]]) -> QuestionSet:
    texts = [f"what of {WORDS[at % 10]} on hill {at}" for at in range(len(relevant))]
    return QuestionSet(
        "fruit",
        "test",
        [
            Question(f"q{at}", text, relevant=grades)
            for at, (text, grades) in enumerate(zip(texts, relevant, strict=True))
        ],
    )


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """Every sentence is a passage: three a document."""
    folder = tmp_path_factory.mktemp("index") / "fruit"
    yield Index.build(
        documents(),
        folder,
        encoder=HashingEncoder(),
        splitting=Splitting(unit="sentences", size=8, overlap=0),
    )


def test_documents_rank_where_their_first_passage_does(index: Index) -> None:
    assert len(index) > 20
    questions = question_set([{f"d{at}": 1, f"d{at + 10}": 1} for at in range(10)])
    report = evaluate_retrieval(index, questions, [1, 5, 10], mode="dense")
    for question in questions.questions:
        order = list(
            dict.fromkeys(hit.passage.document_id for hit in index.search(question.text, 60, mode="dense"))
        )
        ranked = list(report.run[question.id])
        assert len(ranked) == 10
        assert ranked == order[:10]
    expected = evaluate_run(
        report.run, {q.id: q.relevant for q in questions.questions}, list(report.measures)
    )
    for name, values in expected.items():
        assert report.values[name] == values.tolist()
        assert report.measures[name].mean == pytest.approx(values.mean())
    assert report.measures["Success@10"].mean >= report.measures["R@10"].mean > 0.5


def test_judged_passages_are_ranked_as_passages(index: Index) -> None:
    """Two passages of one document are two places, also where neither is relevant."""
    passages = [f"{hit.passage.id}" for hit in index.search("Water is near", 60, mode="lexical")]
    questions = question_set([{passages[7]: 1}])
    report = evaluate_retrieval(index, questions, [20], mode="lexical")
    found = [hit.passage.id for hit in index.search(questions.questions[0].text, 20, mode="lexical")]
    assert set(report.run["q0"]) <= set(found)
    assert len(report.run["q0"]) == min(20, len(found))


def test_filters_reach_the_search(index: Index) -> None:
    questions = question_set([{f"d{at}": 1} for at in range(4)])
    report = evaluate_retrieval(index, questions, [20], mode="dense", filter="even == true")
    assert all(int(name[1:]) % 2 == 0 for ranked in report.run.values() for name in ranked)
    assert report.values["R@20"] == [1, 0, 1, 0]
    assert report.config["filter"] == "even == true"


def test_self_matches_go_only_when_asked(index: Index) -> None:
    questions = question_set([{"d1": 1}])
    questions.questions[0].id, questions.questions[0].text = "d0", documents()[0].text
    kept = evaluate_retrieval(index, questions, [5], mode="dense")
    dropped = evaluate_retrieval(index, questions, [5], mode="dense", drop_self=True)
    assert next(iter(kept.run["d0"])) == "d0"
    assert "d0" not in dropped.run["d0"]
    assert len(dropped.run["d0"]) == 10  # one more was asked for
    assert (kept.config["drop_self"], dropped.config["drop_self"]) == (False, True)


def test_questions_without_a_relevant_document_are_left_out(index: Index) -> None:
    report = evaluate_retrieval(index, question_set([{"d0": 1}, {}, {"d2": 0}]), [1])
    assert report.questions == ["q0"]


def test_costs(index: Index) -> None:
    progress: list[tuple[int, int]] = []
    report = evaluate_retrieval(
        index,
        question_set([{f"d{at}": 1} for at in range(5)]),
        [1],
        on_questions=lambda done, total: progress.append((done, total)),
    )
    costs = report.costs
    assert costs is not None
    files = sum(
        path.stat().st_size
        for path in index.path.rglob("*")
        if "generations" in path.parts and path.is_file()
    )
    assert 0 < costs.index_bytes <= files
    # A flat index: 4 bytes a number, 8 an id, and a header.
    assert costs.bytes_a_vector == pytest.approx(4 * 32 + 8, rel=0.2)
    assert 0 < costs.p50_ms <= costs.p95_ms
    assert costs.questions_per_second > 0
    assert costs.build_seconds == pytest.approx(sum(index.manifest.seconds.values()))
    assert 0 < costs.peak_memory_bytes <= peak_memory()
    assert progress == [(5, 5)]


def test_what_cannot_be_measured_is_refused(index: Index) -> None:
    with pytest.raises(RagkitError, match="none of the relevant documents of fruit"):
        evaluate_retrieval(index, question_set([{"elsewhere": 1}]), [1])
    with pytest.raises(RagkitError, match="no question names a relevant document"):
        evaluate_retrieval(index, question_set([{}]), [1])
    for ks in ([], [0, 5]):
        with pytest.raises(RagkitError, match="k must be 1 or more"):
            evaluate_retrieval(index, question_set([{"d0": 1}]), ks)
    with pytest.raises(RagkitError, match="no question has a relevant document"):
        evaluate({}, {"q": {"a": 0}}, [1], name="x", dataset="d", split="test")


def test_a_run_file_is_measured_like_the_search_that_wrote_it(index: Index, tmp_path: Path) -> None:
    questions = question_set([{f"d{at}": 1} for at in range(10)])
    searched = evaluate_retrieval(index, questions, [1, 5], mode="hybrid")
    write_run(searched.run, tmp_path / "hybrid.run")
    qrels = {question.id: question.relevant for question in questions.questions}
    run = read_run(tmp_path / "hybrid.run")
    read = evaluate(run, qrels, [5, 1, 5], name="hybrid", dataset="fruit", split="test")
    assert (read.values, read.measures, read.ks) == (searched.values, searched.measures, [1, 5])
    assert read.costs is None


def test_reports_as_files_and_against_each_other(index: Index, tmp_path: Path) -> None:
    questions = question_set([{f"d{at}": 1} for at in range(10)])
    reports = [
        evaluate_retrieval(index, questions, [1, 5, 20], mode=mode) for mode in ("dense", "lexical", "hybrid")
    ]
    for report in reports:
        write_json(report, tmp_path / "out" / f"{report.name}.json")
    name, asked, values = read_values(tmp_path / "out" / "dense.json")
    assert (name, asked, values) == ("dense", reports[0].questions, reports[0].values)
    lexical = read_values(tmp_path / "out" / "lexical.json")
    comparisons, changed = compare_values((asked, values), lexical[1:], ["nDCG@10", "R@1"])
    assert [one.measure for one in comparisons] == ["nDCG@10", "R@1"]
    for one in comparisons:
        assert one.a == pytest.approx(np.mean(values[one.measure]))
        assert one.wins + one.losses == len(changed[one.measure])
        assert one.wins + one.losses + one.ties == 10
        sizes = [abs(of_b - of_a) for _, of_a, of_b in changed[one.measure]]
        assert sizes == sorted(sizes, reverse=True)
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in retrieval_table(reports).splitlines()
    ]
    table = {line[0]: line[1:] for line in lines}
    assert table[""] == ["dense", "lexical", "hybrid"]
    assert table["nDCG@10"] == [str(report.measures["nDCG@10"]) for report in reports]
    assert float(table["build, s"][0]) == pytest.approx(sum(index.manifest.seconds.values()), abs=0.05)
    draw_recall(reports, tmp_path / "out" / "recall.png")
    assert (tmp_path / "out" / "recall.png").read_bytes().startswith(b"\x89PNG")


def test_reports_compare_by_question_not_by_place() -> None:
    a = (["q1", "q2", "q3"], {"EM": [0.0, 1.0, 1.0]})
    b = (["q3", "extra", "q1"], {"EM": [1.0, 0.0, 1.0], "F1": [1.0, 0.0, 1.0]})
    [found], changed = compare_values(a, b)
    assert (found.a, found.b, found.wins, found.ties, found.losses) == (0.5, 1.0, 1, 1, 0)
    assert changed == {"EM": [("q1", 0.0, 1.0)]}
    with pytest.raises(RagkitError, match="no question in common"):
        compare_values(a, (["other"], {"EM": [1.0]}))
    with pytest.raises(RagkitError, match="do not both have F1: A has EM; B has EM, F1"):
        compare_values(a, b, ["F1"])
    with pytest.raises(RagkitError, match="a measure in common"):
        compare_values(a, (["q1"], {"F1": [1.0]}))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"name": "x", "questions": ["q"], "values": {"EM": [1, 2]}}',
        '{"name": "x", "questions": ["q"], "values": {"EM": ["a"]}}',
    ],
)
def test_what_is_no_report_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(RagkitError, match=r"a\.json is not a report"):
        read_values(tmp_path / "a.json")
    with pytest.raises(RagkitError, match="no such file"):
        read_values(tmp_path / "none.json")


def test_hits_of_a_document_and_of_its_named_passage() -> None:
    """Judgements may name both: a named passage keeps its name beside its document."""
    from ragkit.evaluation.retrieval import _ranked

    hits = [
        Hit(Passage(name, name.partition("#")[0], "", 0, 0), 1 - at / 10, at + 1)
        for at, name in enumerate(["a#0-5", "a#5-9", "b#0-5", "a#9-12"])
    ]
    ranked = _ranked(hits, {"a#5-9": 1, "b": 1}, {"a", "b"}, None)
    assert ranked == {"a": 1.0, "a#5-9": 0.9, "b": 0.8}
