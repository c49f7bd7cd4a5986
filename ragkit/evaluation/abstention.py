"""How well a confidence tells right answers from wrong ones: risk-coverage, AUROC, calibration error."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ragkit.errors import RagkitError
from ragkit.evaluation.statistics import RESAMPLES, SEED, Estimate

Values = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]

BINS = 15


@dataclass(frozen=True)
class RiskCoverage:
    """Answering the most confident questions first; one point a distinct confidence.

    Attributes:
        coverage: share of the questions answered, ascending, (n,).
        risk: share of the answers given that are wrong, (n,).
    """

    coverage: Values
    risk: Values

    @property
    def area(self) -> float:
        """AURC, the mean risk over coverages 1/n, ..., 1: lower is better (Geifman and El-Yaniv 2017)."""
        return float(np.average(self.risk, weights=np.diff(self.coverage, prepend=0.0)))

    def coverage_at(self, risk: float) -> float:
        """The largest coverage whose risk is at most `risk`; 0 where there is none."""
        return float(np.max(self.coverage, where=self.risk <= risk, initial=0.0))


def risk_coverage(confidence: Values, right: Labels) -> RiskCoverage:
    """Questions of equal confidence are answered together.

    Raises RagkitError without a question.
    """
    confidence, right = _checked(confidence, right)
    order = np.argsort(-confidence, kind="stable")
    last = np.append(np.diff(confidence[order]) != 0, True)
    answered = np.arange(1, len(order) + 1)[last]
    wrong = np.cumsum(~right[order])[last]
    return RiskCoverage(answered / len(order), wrong / answered)


def auroc(confidence: Values, right: Labels) -> float:
    """P(a right answer's confidence > a wrong one's), ties counting half: Mann and Whitney's U.

    NaN where all are right or all wrong.
    """
    from scipy.stats import rankdata

    confidence, right = _checked(confidence, right)
    positives = int(right.sum())
    negatives = len(right) - positives
    if not positives or not negatives:
        return float("nan")
    ranks = float(rankdata(confidence)[right].sum())
    return (ranks - positives * (positives + 1) / 2) / (positives * negatives)


def calibration_error(confidence: Values, right: Labels, bins: int = BINS) -> float:
    """ECE: mean distance of confidence and accuracy, over bins of equally many questions (Nixon et al.
    2019)."""
    confidence, right = _checked(confidence, right)
    order = np.argsort(confidence, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    distances = [abs(confidence[part].mean() - right[part].mean()) for part in parts]
    return float(np.average(distances, weights=[len(part) for part in parts]))


def interval(measure: Callable[..., float], *columns: npt.NDArray[np.generic]) -> Estimate:
    """`measure(*columns)` with its 95 % percentile bootstrap interval over questions.

    The columns, (n,) each, are drawn together, so that a difference of two measures is a paired one. Samples
    on which it is NaN are left out.
    """
    count = len(columns[0])
    rng = np.random.default_rng(SEED)
    draws = (rng.integers(count, size=count) for _ in range(RESAMPLES // 5))
    values = np.array([measure(*(column[rows] for column in columns)) for rows in draws])
    low, high = np.nanquantile(values, (0.025, 0.975))
    return Estimate(float(measure(*columns)), float(low), float(high), count)


def _checked(confidence: Values, right: Labels) -> tuple[Values, Labels]:
    confidence, right = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=bool)
    if confidence.shape != right.shape:
        raise RagkitError(f"{len(confidence)} confidences came with {len(right)} answers")
    if not len(confidence):
        raise RagkitError("no question to measure abstention on")
    return confidence, right
