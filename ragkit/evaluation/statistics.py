"""How sure a mean is, and whether two systems differ, by resampling questions.

The tests check both against scipy.stats; at ten thousand questions scipy takes half a minute for what these
few lines do in a second.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from ragkit.errors import RagkitError

Values = npt.NDArray[np.float64]

RESAMPLES = 5_000
SEED = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over questions and the ends of its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float
    questions: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A measure of two systems on the same questions: positive differences speak for `b`.

    `p` is of the paired randomisation test (two-sided): how often a difference of means at least as large
    arises when each question's two values are swapped by the toss of a coin.
    """

    measure: str
    a: float
    b: float
    difference: Estimate
    p: float
    wins: int
    ties: int
    losses: int


def estimate(values: Values) -> Estimate:
    """Mean and 95 % percentile bootstrap interval over questions (Efron 1979), with a fixed seed.

    Raises RagkitError without a value.
    """
    values = np.asarray(values, dtype=np.float64)
    if not len(values):
        raise RagkitError("no question to take a mean over")
    rng = np.random.default_rng(SEED)
    means = np.concatenate(
        [values[rng.integers(len(values), size=(rows, len(values)))].mean(axis=1) for rows in _chunks(values)]
    )
    low, high = np.quantile(means, (0.025, 0.975))
    return Estimate(float(values.mean()), float(low), float(high), len(values))


def compare(measure: str, a: Values, b: Values) -> Comparison:
    """Compares two systems question by question; (n,) each, in the same order.

    Randomisation test of Smucker, Allan and Carterette 2007: over all ways to swap where there are at most
    `RESAMPLES`, else by so many draws, with the observed difference counted among them.

    Raises RagkitError where the two are not of the same questions.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape:
        raise RagkitError(f"{measure}: {len(a)} values against {len(b)}: not the same questions")
    difference = b - a
    exact = 2 ** len(a) <= RESAMPLES
    if exact:
        means = np.array(list(product((-1.0, 1.0), repeat=len(a)))) @ difference / len(a)
    else:
        rng = np.random.default_rng(SEED)
        means = np.concatenate(
            [rng.choice((-1.0, 1.0), size=(rows, len(a))) @ difference / len(a) for rows in _chunks(a)]
        )
    # What differs from the observed mean by rounding alone is as large.
    extreme = int((np.abs(means) >= abs(difference.mean()) - 1e-12).sum())
    return Comparison(
        measure=measure,
        a=float(a.mean()),
        b=float(b.mean()),
        difference=estimate(difference),
        p=extreme / len(means) if exact else (extreme + 1) / (RESAMPLES + 1),
        wins=int((difference > 0).sum()),
        ties=int((difference == 0).sum()),
        losses=int((difference < 0).sum()),
    )


def _chunks(values: Values) -> list[int]:
    """`RESAMPLES` in parts whose draws take up at most some 32 MiB."""
    rows = max(1, min(RESAMPLES, 2**22 // max(1, len(values))))
    return [min(rows, RESAMPLES - at) for at in range(0, RESAMPLES, rows)]
