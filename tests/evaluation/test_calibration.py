"""Answers made up so that what makes them right is known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from ragkit.corpus.document import Passage
from ragkit.corpus.questions import Question
from ragkit.errors import RagkitError
from ragkit.evaluation.abstention import calibration_error
from ragkit.evaluation.calibration import Graded, calibrate, graded, is_right
from ragkit.generation.answer import Answer, Support
from ragkit.generation.confidence import (
    FEATURES,
    features,
    fitting,
    read_calibrations,
    risk_bound,
    write_calibrations,
)

CONFIG = {"model": "reader", "k": 2, "mode": "hybrid", "temperature": 1.0}


def made(log_p: float, none: float = 0.5, score: float = 1.0, text: str = "two words") -> Answer:
    def support(name: str, posterior: float) -> Support:
        passage = Passage(name, name, "text", 0, 4)
        return Support(passage, 0.5, log_p, posterior, score, float(np.log(none)))

    return Answer(
        "q", text, log_p, [support("a", 0.75), support("b", 0.25)], [("", -1.0), ("else", log_p - 2)]
    )


def records(count: int, seed: int = 0) -> list[Graded]:
    asked = {True: Question("q", "?", ["two words"]), False: Question("q", "?", [])}
    pairs = zip(*sample(count, seed), strict=True)
    return [one for answer, right in pairs if (one := graded(answer, asked[bool(right)])) is not None]


def sample(count: int, seed: int = 0) -> tuple[list[Answer], np.ndarray]:
    """p(right) = sigmoid(2 (log p + 2)); the retrieval's score is noise."""
    rng = np.random.default_rng(seed)
    log_p = rng.uniform(-4, 0, count)
    right = rng.random(count) < 1 / (1 + np.exp(-2 * (log_p + 2)))
    return [made(p, rng.uniform(0.1, 0.9), rng.normal()) for p in log_p], right


def test_features_by_hand() -> None:
    found = dict(zip(FEATURES, features(made(-1.5, none=0.25, score=3.0)), strict=True))
    assert found["log p(y|x)"] == -1.5 and found["log odds against the next answer"] == 2
    assert found["log p(y|x,z) of the best passage"] == -1.5
    assert found["entropy of p(z|x,y)"] == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))
    assert found["log odds that some passage answers"] == pytest.approx(np.log(15))  # 1 - 1/16 to 1/16
    assert found["score of the best passage"] == 3 and found["log words"] == pytest.approx(np.log(3))
    assert found["log p(z|x) of the passage answered from"] == pytest.approx(np.log(0.5))
    assert (features(Answer("q", "", 0.0)) == 0).all()


def test_no_feature_is_infinite() -> None:
    worst = made(-np.inf, none=1.0)
    sure = replace(made(0.0), alternatives=[], support=[replace(made(0.0).support[0], log_none=-np.inf)])
    for answer in (worst, sure):
        assert np.isfinite(features(answer)).all()


def test_it_is_calibrated_on_what_it_was_not_fitted_to() -> None:
    report = calibrate(records(2_000), CONFIG, "made up")
    answers, right = sample(4_000, seed=1)
    confidence = report.calibration.confidence(answers)
    assert calibration_error(confidence, right) < 0.04
    assert report.auroc.mean > 0.8 and abs(report.auroc_of_score.mean - 0.5) < 0.05
    assert report.gain.low > 0.2
    assert json.loads(json.dumps(report.to_json()))["questions"] == 2_000


def test_a_promised_risk_is_kept() -> None:
    calibration = calibrate(records(2_000), CONFIG, "made up").calibration
    answers, right = sample(10_000, seed=2)
    coverage = []
    for risk in (0.1, 0.2, 0.4):
        given = [not answer.withheld for answer in calibration.apply(answers, risk)]
        assert 0 < np.mean(~right[given]) <= risk
        coverage.append(np.mean(given))
    assert coverage == sorted(coverage)
    with pytest.raises(RagkitError, match=r"a risk of 0.001 cannot be promised.*allow more"):
        calibration.threshold(0.001)
    with pytest.raises(RagkitError, match="between 0 and 1"):
        calibration.threshold(1.5)


def test_nothing_is_withheld_unless_a_risk_is_named_and_none_is_no_answer() -> None:
    calibration = calibrate(records(400), CONFIG, "made up").calibration
    low, none = calibration.apply([made(-4.0), made(-1.0, text="")])
    assert 0 < low.confidence < 0.3 and not low.withheld
    assert none.confidence == 0


def test_the_bound_is_clopper_and_pearson_s() -> None:
    for wrong, answered in ((0, 20), (3, 40), (19, 20)):
        bound = risk_bound(wrong, answered, 0.05)
        assert binom.cdf(wrong, answered, bound) == pytest.approx(0.05)
    assert risk_bound(0, 0, 0.05) == risk_bound(5, 5, 0.05) == 1


def test_files_come_back_and_broken_ones_are_told(tmp_path: Path) -> None:
    calibration = calibrate(records(100), CONFIG, "made up").calibration
    path = tmp_path / "confidence.json"
    write_calibrations(path, [calibration])
    assert read_calibrations(path) == [calibration]
    content = json.loads(path.read_text())
    other = [{"features": ["x"]}, {"weights": [1]}, {"curve": [{}]}, {"more": 1}]
    for broken in ("{", "[1]", *(json.dumps([content[0] | fields]) for fields in other)):
        path.write_text(broken)
        with pytest.raises(RagkitError, match="does not hold calibrations"):
            read_calibrations(path)
    with pytest.raises(RagkitError, match="cannot read"):
        read_calibrations(tmp_path / "nowhere.json")


def test_it_serves_the_answerer_that_it_was_fitted_to_alone() -> None:
    calibration = calibrate(records(100), CONFIG | {"allow_empty": False}, "made up").calibration
    assert calibration.disagreement(CONFIG | {"allow_empty": True, "filter": None}) is None
    assert calibration.disagreement(CONFIG | {"k": 5}) == "it was calibrated with k 2, this is 5"
    assert fitting([calibration], CONFIG) is calibration and fitting([calibration], {"k": 2}) is None


def test_too_little_is_refused() -> None:
    with pytest.raises(RagkitError, match=r"20 answers.*too few to calibrate on"):
        calibrate(records(20), CONFIG, "made up")
    with pytest.raises(RagkitError, match="0 of them right"):
        calibrate([replace(one, right=False) for one in records(100)], CONFIG, "made up")
    assert graded(made(0, text=""), Question("q", "?", ["a"])) is None


def test_right_is_half_of_the_words() -> None:
    asked = Question("q", "who?", ["the red cat"])
    assert is_right(made(0, text="a red cat"), asked) and is_right(made(0, text="red dog"), asked)
    assert not is_right(made(0, text="blue dog"), asked)
    assert not is_right(made(0), Question("q", "who?", []))
