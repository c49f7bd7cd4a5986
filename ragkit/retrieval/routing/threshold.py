"""What is too far from every label is for none of them: how far is calibrated on examples held out.

The similarity of a question is its cosine with the nearest example. Each example is once held out, and
compared with the others: that is what questions for a label look like. Questions for none are examples of
"none"; without such, each label's examples compared with those of all other labels, as if that label were not
known: topics next to the known ones, the hardest there are. The threshold parts the two best.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ragkit.encoders.encoder import Vectors
from ragkit.retrieval.routing.classifiers import Labels

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Threshold:
    """A question whose `similarity` is below `value` is for none. `known_refused`, `unknown_refused`: the
    shares of held-out questions for a label, and for none, that are below it; `unknown`: how many of the
    latter there were, and whether they were examples of "none"."""

    value: float
    known_refused: float
    unknown_refused: float
    unknown: int
    from_none: bool


def similarity(vectors: Vectors, examples: Vectors) -> Values:
    """The cosine of each question (questions, size) with the nearest example (items, size), all of length
    one."""
    found: Values = (vectors @ examples.T).max(axis=1).astype(np.float64)
    return found


def calibrated(examples: Vectors, labels: Labels, unknown: Vectors) -> Threshold:
    """From vectors of length one: examples (items, size) with their labels (items,), and those of "none", of
    which there may be none."""
    cosines = (examples @ examples.T).astype(np.float64)
    other = labels[:, None] != labels
    apart = np.where(np.eye(len(labels), dtype=bool), -np.inf, cosines)
    of_known = apart.max(axis=1)
    if len(unknown):
        of_unknown = similarity(unknown, examples)
    else:
        of_unknown = np.where(other, cosines, -np.inf).max(axis=1)
    value = parting(of_known, of_unknown)
    return Threshold(
        value,
        float((of_known < value).mean()),
        float((of_unknown < value).mean()),
        len(of_unknown),
        bool(len(unknown)),
    )


def parting(known: Values, unknown: Values) -> float:
    """The value with the largest share of `known` at or above it plus share of `unknown` below it (Youden's
    index); between two values, and in the middle of several that are as good."""
    values = np.unique(np.concatenate([known, unknown]))
    cuts = np.concatenate([[values[0] - 1e-6], (values[1:] + values[:-1]) / 2, [values[-1] + 1e-6]])
    gain = [(known >= cut).mean() + (unknown < cut).mean() for cut in cuts]
    best = np.flatnonzero(np.isclose(gain, max(gain)))
    return float(cuts[best[len(best) // 2]])
