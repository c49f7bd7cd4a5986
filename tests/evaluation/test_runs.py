"""TREC files go out and come back the same; what is broken is named with its line."""

import gzip
from pathlib import Path

import ir_measures
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragkit.errors import RagkitError
from ragkit.evaluation.runs import ranking, read_qrels, read_run, write_run

ids = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=6).filter(
    lambda text: not any(map(str.isspace, text))
)
runs = st.dictionaries(ids, st.dictionaries(ids, st.floats(width=32, allow_nan=False, allow_infinity=False),
                                            min_size=1, max_size=5), min_size=1, max_size=4)  # fmt: skip


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(run=runs)
def test_a_run_comes_back(run: dict[str, dict[str, float]], tmp_path: Path) -> None:
    path = tmp_path / "a.run"
    write_run(run, path)
    back = read_run(path)
    # Scores are written with the nine digits that tell float32 values apart.
    assert {q: {d: np.float32(s) for d, s in scores.items()} for q, scores in back.items()} == run
    assert all(ranking(back[question]) == ranking(scores) for question, scores in run.items())


def test_ir_measures_reads_what_is_written(tmp_path: Path) -> None:
    write_run({"q1": {"a": 0.5, "b": 2.25}, "q2": {"c": -1.0}}, tmp_path / "a.run", tag="mine")
    assert (tmp_path / "a.run").read_text() == (
        "q1 Q0 b 1 2.25 mine\nq1 Q0 a 2 0.5 mine\nq2 Q0 c 1 -1 mine\n"
    )
    theirs = {(x.query_id, x.doc_id, x.score) for x in ir_measures.read_trec_run(str(tmp_path / "a.run"))}
    assert theirs == {("q1", "a", 0.5), ("q1", "b", 2.25), ("q2", "c", -1.0)}


def test_an_id_with_a_blank_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(RagkitError, match=r"'my file\.md' of 'q' holds a blank"):
        write_run({"q": {"my file.md": 1.0}}, tmp_path / "a.run")
    assert not (tmp_path / "a.run").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q Q0 d 1 0.5", r"a\.run:2: .* found 5 fields"),
        ("q Q0 e 2 high tag", r"a\.run:2: the score 'high' is not a number"),
        ("q Q0 e 2 nan tag", r"a\.run:2: the score 'nan' is not a number to rank by"),
        ("q Q0 d 2 0.25 tag", r"a\.run:2: 'd' comes twice for question 'q'"),
    ],
)
def test_broken_runs_name_the_line(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.run"
    path.write_text(f"q Q0 d 1 0.5 tag\n{line}\n")
    with pytest.raises(RagkitError, match=message):
        read_run(path)


def test_qrels_of_both_kinds(tmp_path: Path) -> None:
    expected = {"1": {"a": 1, "b": 0}, "2": {"a": 2}}
    beir = tmp_path / "test.tsv"
    beir.write_text("query-id\tcorpus-id\tscore\n1\ta\t1\n1\tb\t0\n2\ta\t2\n")
    trec = tmp_path / "test.qrels.gz"
    trec.write_bytes(gzip.compress(b"1 0 a 1\n1 0 b 0\n\n2 0 a 2\n"))
    assert read_qrels(beir) == read_qrels(trec) == expected


def test_beir_ids_may_hold_blanks(tmp_path: Path) -> None:
    (tmp_path / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq 1\tmy notes/a file.md\t1\n")
    assert read_qrels(tmp_path / "test.tsv") == {"q 1": {"my notes/a file.md": 1}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 0 a 1\n1 a\n", r":2: expected `qid docid grade`"),
        ("1 0 a high\n", r":1: the grade 'high' is not a whole number"),
        ("query-id\tcorpus-id\tscore\n", "empty qrels"),
    ],
)
def test_broken_qrels_name_the_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "qrels"
    path.write_text(text)
    with pytest.raises(RagkitError, match=message):
        read_qrels(path)


def test_missing_and_empty_files(tmp_path: Path) -> None:
    for read in (read_run, read_qrels):
        with pytest.raises(RagkitError, match="no such file"):
            read(tmp_path / "none")
        (tmp_path / "empty").write_text("")
        with pytest.raises(RagkitError, match="empty"):
            read(tmp_path / "empty")
