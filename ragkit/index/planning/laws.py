"""From a sample to the whole index: the laws that recall, time and memory follow.

Straight lines: seconds of a search in inverted lists over the vectors and lists that it looks at; bytes over
n; the logarithm of a graph's seconds and the log-odds of its recall over log n.
"""

from collections.abc import Sequence
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


def recall_of(recalls: Values, k: int, fall: Values | None = None, times: float = 1.0) -> Recall:
    """From (questions,) recalls@k.

    One-sided bootstrap over questions (Efron 1979); half a neighbour found and half missed are added, so that
    a few questions without a miss do not promise that there is none. `fall`: (2, questions) recalls of a
    smaller and a larger corpus; from one to the other log-odds fell, and `times` as much they fall again.
    """
    from scipy.special import expit, logit

    count = len(recalls)
    drawn = np.random.default_rng(SEED).integers(count, size=(RESAMPLES, count))

    def odds(values: Values) -> Values:
        means = np.concatenate([[values.mean()], values[drawn].mean(axis=1)])
        return np.asarray(logit((means * count * k + 0.5) / (count * k + 1)))

    reached = odds(recalls)
    if fall is not None:
        reached = reached + times * np.minimum(0, odds(fall[1]) - odds(fall[0]))
    expected = float(recalls.mean()) if fall is None else float(expit(reached[0]))
    return Recall(expected, float(np.quantile(expit(reached[1:]), 1 - CONFIDENCE)))


def scan_law(looked_at: Values, seconds: Values, targets: Values) -> Values:
    """Seconds, (m,), at `targets`, (m, 2): lists and vectors that a search looks at, from (n, 2) and (n,).

    By least squares of relative errors, no coefficient below 0: the constant holds the choice of the lists.
    """
    from scipy.optimize import nnls

    design = np.column_stack([np.ones(len(seconds)), looked_at]) / seconds[:, None]
    scale = np.maximum(np.abs(design).max(axis=0), 1e-30)
    coefficients = nnls(design / scale, np.ones(len(seconds)))[0] / scale
    return np.asarray(coefficients[0] + targets @ coefficients[1:])


def power_law(target: int, sizes: Sequence[int], values: Sequence[float], steepest: float) -> float:
    """Its value at `target`, the exponent kept between 0 (no cost shrinks with size) and `steepest`."""
    x, y = np.log(sizes), np.log(np.maximum(values, 1e-9))
    slope = float(np.clip(np.polyfit(x, y, 1)[0], 0, steepest))
    return float(np.exp(y.mean() + slope * (np.log(target) - x.mean())))


def affine_law(target: int, sizes: Sequence[int], values: Sequence[int]) -> int:
    """Its value at `target`, which is at least the last value."""
    return max(values[-1], round(float(np.polyval(np.polyfit(sizes, values, 1), target))))
