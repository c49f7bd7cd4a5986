import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from ragkit.errors import RagkitError
from ragkit.evaluation.abstention import auroc, calibration_error, interval, risk_coverage

pairs = st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=40)


def columns(drawn: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    confidence, right = zip(*drawn, strict=True)
    return np.array(confidence) / 10, np.array(right)


@given(pairs)
def test_auroc_is_scikit_learn_s(drawn: list[tuple[int, bool]]) -> None:
    confidence, right = columns(drawn)
    if right.all() or not right.any():
        assert np.isnan(auroc(confidence, right))
    else:
        assert auroc(confidence, right) == pytest.approx(roc_auc_score(right, confidence))


@given(pairs)
def test_risk_coverage_by_counting(drawn: list[tuple[int, bool]]) -> None:
    confidence, right = columns(drawn)
    curve = risk_coverage(confidence, right)
    thresholds = sorted(set(confidence), reverse=True)
    assert len(curve.risk) == len(thresholds)
    for coverage, risk, threshold in zip(curve.coverage, curve.risk, thresholds, strict=True):
        answered = confidence >= threshold
        assert coverage == pytest.approx(answered.mean())
        assert risk == pytest.approx((~right[answered]).mean())
    assert curve.coverage[-1] == 1 and curve.risk[-1] == pytest.approx((~right).mean())
    assert (np.diff(curve.coverage) > 0).all()
    for risk in (0.0, 0.2, 0.5, 1.0):
        best = max(
            [answered for answered, r in zip(curve.coverage, curve.risk, strict=True) if r <= risk] + [0]
        )
        assert curve.coverage_at(risk) == best


def test_area_by_hand() -> None:
    curve = risk_coverage(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False]))
    assert curve.area == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4)
    perfect = risk_coverage(np.array([0.9, 0.8, 0.1]), np.array([True, True, False]))
    assert perfect.area < risk_coverage(np.array([0.1, 0.8, 0.9]), np.array([True, True, False])).area


def test_calibration_error_of_what_is_known() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(20_000)
    right = rng.random(20_000) < p
    assert calibration_error(p, right) < 0.02
    assert calibration_error(np.ones(100), np.zeros(100, dtype=bool)) == 1
    assert calibration_error(np.full(4, 0.25), np.array([True, False, False, False]), bins=1) == 0


def test_an_interval_holds_its_value_and_pairs_its_columns() -> None:
    rng = np.random.default_rng(1)
    right = rng.random(300) < 0.5
    good, bad = right + rng.normal(0, 1, 300), rng.normal(0, 1, 300)
    found = interval(auroc, good, right)
    assert found.low < found.mean < found.high and found.questions == 300
    same = interval(lambda a, b, of: auroc(a, of) - auroc(b, of), good, good, right)
    assert same.low == same.mean == same.high == 0
    better = interval(lambda a, b, of: auroc(a, of) - auroc(b, of), good, bad, right)
    assert better.low > 0


def test_nothing_to_measure_is_refused() -> None:
    with pytest.raises(RagkitError, match="no question"):
        risk_coverage(np.empty(0), np.empty(0, dtype=bool))
    with pytest.raises(RagkitError, match="2 confidences came with 1 answers"):
        auroc(np.zeros(2), np.zeros(1, dtype=bool))
