"""The default hybrid: dense and lexical scores of one question's candidates put together.

Neither side wins everywhere: words win where passages say what questions say, meaning wins where they put it
in other words. Whether the sides agree on a question's candidates tells the two apart: where they do, words
add little. With d and l the dense and the lexical score of a passage, means and deviations over the best
`DEPTH` of each side:

    z_d = (d - mean_d) / std_d        z_l = (l - mean_l) / std_l
    r   = Pearson's correlation of d and l over these passages         agreement, from -1 to 1
    s   = exp(a_0 + a_1 r) z_d + exp(b_0 + b_1 r) z_l

Every candidate is scored by both sides, so that nothing is missing; reciprocal rank fusion knows ranks alone.
`s` is a log-odds: the loss of a set is -log of the relevant passage's share under the softmax of s over the
candidates (McFadden's conditional logit), and a and b minimise the largest regret over training sets against
two weights fitted for the set alone (Sagawa et al., "Distributionally Robust Neural Networks", ICLR 2020).
So s can be compared between questions, and its softmax read as p(z|x). Standardised scores need no knowledge
of the encoder's scale. On convex combinations and their normalisation: Bruch, Gai, Ingber, "An Analysis of
Fusion Functions for Hybrid Retrieval", TOIS 2023.

`fusion.json` holds a and b with the sets that they were fitted on; `python -m eval.fusion.fit` writes it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ragkit.index.vector_index import Ids

Scores = npt.NDArray[np.floating]

DEPTH = 100
"""Candidates of each side, and what means and deviations are taken over."""


@dataclass(frozen=True)
class Candidates:
    """What one question found: passage rows, ascending, each with its dense and lexical score, all (c,); and
    the up to `DEPTH` highest scores of each side, descending."""

    rows: Ids
    dense: Scores
    lexical: Scores
    best_dense: Scores
    best_lexical: Scores


@dataclass(frozen=True)
class Fusion:
    """The four numbers: a = `dense`, b = `lexical`."""

    dense: tuple[float, float]
    lexical: tuple[float, float]

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """From a mapping with "dense" and "lexical"; others are left aside.

        Raises ValueError where they are not two numbers each.
        """
        (a_0, a_1), (b_0, b_1) = (map(float, fields[side]) for side in ("dense", "lexical"))
        return cls((a_0, a_1), (b_0, b_1))

    def weights(self, agreement: npt.ArrayLike) -> Scores:
        """The positive weights of z_d and z_l at an agreement, (...) -> (..., 2)."""
        r = np.asarray(agreement, dtype=np.float64)
        (a_0, a_1), (b_0, b_1) = self.dense, self.lexical
        return np.exp(np.stack([a_0 + a_1 * r, b_0 + b_1 * r], axis=-1))

    def fuse(self, candidates: Candidates) -> Scores:
        """The fused score of each candidate, (c,), higher is better."""
        of_dense, of_lexical = self.weights(agreement(candidates))
        z_dense, z_lexical = standardised(candidates)
        return of_dense * z_dense + of_lexical * z_lexical


def agreement(candidates: Candidates) -> float:
    """r of the passages that are among the best of either side; 0 where a side tells nothing apart."""
    z = standardised(candidates)
    best = np.zeros(z.shape[1], dtype=bool)
    for scores, highest in (
        (candidates.dense, candidates.best_dense),
        (candidates.lexical, candidates.best_lexical),
    ):
        if len(highest):
            best |= scores >= highest[-1]
    dense, lexical = z[0, best], z[1, best]
    if not best.any() or min(dense.std(), lexical.std()) < 1e-9:
        return 0.0
    return float(np.corrcoef(dense, lexical)[0, 1])


def standardised(candidates: Candidates) -> Scores:
    """z_d and z_l of the candidates, (2, c)."""
    sides = (
        (candidates.dense, candidates.best_dense),
        (candidates.lexical, candidates.best_lexical),
    )
    return np.stack([_standardise(scores, best) for scores, best in sides])


def _standardise(scores: npt.ArrayLike, best: npt.ArrayLike) -> Scores:
    """z of `scores` by mean and standard deviation of `best`.

    All zero where the best are all equal: a side that tells nothing apart has no say.
    """
    scores, best = np.asarray(scores, dtype=np.float64), np.asarray(best, dtype=np.float64)
    if not len(best) or best.max() - best.min() <= 1e-9 * np.abs(best).max():
        return np.zeros(len(scores))
    return (scores - best.mean()) / best.std()


@cache
def default_fusion() -> Fusion:
    """The one setting for all corpora and encoders, from `fusion.json`; an index may hold its own."""
    return Fusion.from_json(
        json.loads((files("ragkit.retrieval") / "fusion.json").read_text(encoding="utf-8"))
    )
