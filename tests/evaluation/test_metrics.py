"""Every measure against ir-measures (trec_eval's code) on random runs."""

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.errors import RagkitError
from ragkit.evaluation.metrics import evaluate_run, judged
from ragkit.evaluation.runs import Qrels, Run, ranking

NAMES = ["R@5", "R@20", "Success@1", "Success@5", "P@5", "RR@10", "RR", "AP", "AP@10", "nDCG@10", "nDCG"]


def random_question(rng: np.random.Generator) -> tuple[dict[str, int], dict[str, float]]:
    """Judgements and a ranking of one question: ties, grades 0 to 3, unjudged documents, missed ones."""
    documents = [f"d{at}" for at in range(40)]
    graded = rng.choice(documents, size=rng.integers(1, 9), replace=False)
    grades = {str(name): int(rng.integers(0, 4)) for name in graded}
    found = rng.choice(documents, size=rng.integers(0, 31), replace=False)
    if rng.random() < 0.5:
        scores = rng.integers(0, 4, size=len(found)).astype(float)  # few values: ties
    else:
        scores = rng.normal(size=len(found)).astype(np.float32).astype(float)
    return grades, {str(name): float(score) for name, score in zip(found, scores, strict=True)}


@pytest.mark.row(106)
@pytest.mark.row(107)
def test_equals_ir_measures_on_a_thousand_random_rankings() -> None:
    rng = np.random.default_rng(0)
    qrels: Qrels = {}
    run: Run = {}
    for number in range(1000):
        qrels[f"q{number}"], run[f"q{number}"] = random_question(rng)
    values = evaluate_run(run, qrels, NAMES)
    questions = judged(qrels)
    assert 900 < len(questions) < 1000  # some have grades of 0 alone
    assert any(not run[question] for question in questions)
    # ir-measures computes RR@k by MS MARCO's code, which breaks ties the other way: it is given none.
    strict = {question: {name: -rank for rank, name in enumerate(ranking(run[question]))} for question in run}
    for name in NAMES:
        measured = ir_measures.iter_calc(
            [ir_measures.parse_measure(name)], qrels, strict if name == "RR@10" else run
        )
        expected = {metric.query_id: metric.value for metric in measured}
        # ir-measures says nothing of a question without a ranking; here it counts as 0.
        theirs = [expected.get(question, 0.0) for question in questions]
        np.testing.assert_allclose(values[name], theirs, atol=1e-9, err_msg=name)
        assert 0 < values[name].mean() < 1


@pytest.mark.row(106)
def test_recall_and_success_are_different_things() -> None:
    qrels = {"q": {"a": 1, "b": 1, "c": 0}}
    run = {"q": {"c": 3.0, "a": 2.0, "x": 1.0}}
    values = evaluate_run(run, qrels, ["R@1", "R@2", "R@20", "Success@1", "Success@2"])
    assert {name: value.tolist() for name, value in values.items()} == {
        "R@1": [0.0],
        "R@2": [0.5],
        "R@20": [0.5],
        "Success@1": [0.0],
        "Success@2": [1.0],
    }


@pytest.mark.row(107)
def test_by_hand() -> None:
    qrels = {"q": {"a": 3, "b": 1, "c": 2}}
    run = {"q": {"x": 9.0, "a": 8.0, "y": 7.0, "b": 6.0}}
    values = evaluate_run(run, qrels, ["RR@10", "RR@1", "AP", "P@4", "nDCG@10"])
    assert values["RR@10"][0] == 1 / 2
    assert values["RR@1"][0] == 0
    assert values["AP"][0] == pytest.approx((1 / 2 + 2 / 4) / 3)
    assert values["P@4"][0] == 1 / 2
    gain = 3 / np.log2(3) + 1 / np.log2(5)
    assert values["nDCG@10"][0] == pytest.approx(gain / (3 + 2 / np.log2(3) + 1 / np.log2(4)))


@pytest.mark.row(107)
def test_ties_go_to_the_higher_id_as_in_trec_eval() -> None:
    qrels = {"q": {"a": 1}, "r": {"b": 1}}
    run = {"q": {"a": 1.0, "b": 1.0}, "r": {"a": 1.0, "b": 1.0}}
    assert evaluate_run(run, qrels, ["RR"])["RR"].tolist() == [0.5, 1.0]


@settings(deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_better_place_never_hurts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grades, scores = random_question(rng)
    relevant = [name for name in scores if grades.get(name, 0) > 0]
    if not relevant:
        return
    before = evaluate_run({"q": scores}, {"q": grades}, NAMES)
    after = evaluate_run({"q": {**scores, relevant[0]: 1e9}}, {"q": grades}, NAMES)
    binary = [name for name in NAMES if not name.startswith("nDCG")]
    assert all(after[name][0] >= before[name][0] - 1e-12 for name in binary)


def test_questions_the_run_lacks_score_zero_and_unjudged_ones_are_left_out() -> None:
    qrels = {"q": {"a": 1}, "none": {"a": 0}, "lost": {"b": 2}}
    assert judged(qrels) == ["q", "lost"]
    assert evaluate_run({"q": {"a": 1.0}, "more": {"a": 1.0}}, qrels, ["R@5"])["R@5"].tolist() == [1.0, 0.0]


@pytest.mark.parametrize("name", ["MAP", "R@0", "R@", "R@1.5", "nDCG10", "@5", "R@5@6"])
def test_unknown_measures_are_refused(name: str) -> None:
    with pytest.raises(RagkitError, match="no measure"):
        evaluate_run({}, {"q": {"a": 1}}, [name])
