"""From the sizes that were measured to the size that is planned for.

Straight lines by least squares (`numpy.polyfit`): the log-odds of recall over log n; the logarithm of
seconds over log n (power laws); bytes over n.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

RESAMPLES = 1000
CONFIDENCE = 0.95
SEED = 0


@dataclass(frozen=True)
class Recall:
    """Expected, and what it is at least with 95 % confidence over the draw of questions."""

    expected: float
    bound: float


def recall_at(target: int, sizes: list[int], recalls: Values, k: int) -> Recall:
    """Of a corpus of `target` passages, from (sizes, questions) recalls@k of the same questions.

    Where the target was measured itself, nothing is extrapolated. Else the bound is no higher than the
    largest sample's: a law that says that more passages are easier is not relied on. One-sided bootstrap
    over questions (Efron 1979); half a neighbour found and half missed are added, so that a few questions
    without a miss do not promise that there is none.
    """
    questions = recalls.shape[1]
    drawn = np.random.default_rng(SEED).integers(questions, size=(RESAMPLES, questions))
    means = recalls[:, drawn].mean(axis=2)  # (sizes, resamples)
    lowest = 1 - CONFIDENCE
    largest = float(np.quantile(_shrunk(means[-1], questions * k), lowest))
    if sizes[-1] == target:
        return Recall(float(recalls[-1].mean()), largest)
    observed = np.column_stack([recalls.mean(axis=1), means])
    predicted = _law(target, sizes, _shrunk(observed, questions * k))
    return Recall(float(predicted[0]), min(largest, float(np.quantile(predicted[1:], lowest))))


def power_law(target: int, sizes: list[int], values: list[float], steepest: float) -> float:
    """Its value at `target`, the exponent kept between 0 (no cost shrinks with size) and `steepest`."""
    if sizes[-1] == target:
        return values[-1]
    x, y = np.log(sizes), np.log(np.maximum(values, 1e-9))
    slope = float(np.clip(np.polyfit(x, y, 1)[0], 0, steepest))
    return float(np.exp(y.mean() + slope * (np.log(target) - x.mean())))


def affine_law(target: int, sizes: list[int], values: list[int]) -> int:
    """Its value at `target`, which is at least the last value."""
    if sizes[-1] == target:
        return values[-1]
    return max(values[-1], round(float(np.polyval(np.polyfit(sizes, values, 1), target))))


def _shrunk(recalls: Values, neighbours: int) -> Values:
    return (recalls * neighbours + 0.5) / (neighbours + 1)


def _law(target: int, sizes: list[int], recalls: Values) -> Values:
    """(n,) at `target`, from (sizes, n)."""
    from scipy.special import expit, logit

    slope, intercept = np.polyfit(np.log(sizes), logit(recalls), 1)
    return np.asarray(expit(slope * np.log(target) + intercept))
