"""The default hybrid: dense and lexical scores of one question's candidates put together.

Neither side wins everywhere, so the weight of each is read off the question's own scores. With d and l the
dense and the lexical score of a passage, means and deviations over the best `DEPTH` of each side:

    z_d = (d - mean_d) / std_d        z_l = (l - mean_l) / std_l
    u   = (1, max z_d, max z_l)                        how far the best of each side stands out
    s   = exp(a . u) z_d + exp(b . u) z_l

Every candidate is scored by both sides, so that nothing is missing; reciprocal rank fusion knows ranks alone.
`s` is a log-odds: a and b maximise the likelihood of the relevant passage under the softmax of s over the
candidates (McFadden's conditional logit), on training splits only. So s can be compared between questions,
and its softmax read as p(z|x). Standardised scores need no knowledge of the encoder's scale. On convex
combinations and their normalisation: Bruch, Gai, Ingber, "An Analysis of Fusion Functions for Hybrid
Retrieval", TOIS 2023.

`fusion.json` holds a and b with the sets that they were fitted on; `python -m eval.fusion.fit` writes it.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from ragkit.index.vector_index import Ids

Scores = npt.NDArray[np.floating]

DEPTH = 100
"""Candidates of each side, and what means and deviations are taken over."""


@dataclass(frozen=True)
class Candidates:
    """What one question found: passage rows, ascending, each with its dense and lexical score, all (c,); and
    the up to `DEPTH` highest scores of each side."""

    rows: Ids
    dense: Scores
    lexical: Scores
    best_dense: Scores
    best_lexical: Scores


@dataclass(frozen=True)
class Fusion:
    """The six numbers: a = `dense`, b = `lexical`."""

    dense: tuple[float, float, float]
    lexical: tuple[float, float, float]

    def weights(self, peaks: Scores) -> Scores:
        """The positive weights of z_d and z_l, (..., 2), from (max z_d, max z_l), (..., 2)."""
        features = np.concatenate([np.ones((*peaks.shape[:-1], 1)), peaks], axis=-1)
        return np.exp(features @ np.array([self.dense, self.lexical]).T)

    def fuse(self, candidates: Candidates) -> Scores:
        """The fused score of each candidate, (c,), higher is better."""
        (z_dense, z_lexical), peaks = standardised(candidates)
        of_dense, of_lexical = self.weights(peaks)
        return of_dense * z_dense + of_lexical * z_lexical


def standardised(candidates: Candidates) -> tuple[Scores, Scores]:
    """z_d and z_l of the candidates, (2, c), and the highest z among the best of each side, (2,)."""
    dense, dense_peak = _standardise(candidates.dense, candidates.best_dense)
    lexical, lexical_peak = _standardise(candidates.lexical, candidates.best_lexical)
    return np.stack([dense, lexical]), np.array([dense_peak, lexical_peak])


def _standardise(scores: npt.ArrayLike, best: npt.ArrayLike) -> tuple[Scores, float]:
    """z of `scores` by mean and standard deviation of `best`, and the highest z of `best`.

    All zero where the best are all equal: a side that tells nothing apart has no say.
    """
    scores, best = np.asarray(scores, dtype=np.float64), np.asarray(best, dtype=np.float64)
    if not len(best) or best.max() - best.min() <= 1e-9 * np.abs(best).max():
        return np.zeros(len(scores)), 0.0
    mean, deviation = best.mean(), best.std()
    return (scores - mean) / deviation, float((best.max() - mean) / deviation)


@cache
def default_fusion() -> Fusion:
    """The one setting for all corpora and encoders, from `fusion.json`."""
    fitted: dict[str, Any] = json.loads(
        (files("ragkit.retrieval") / "fusion.json").read_text(encoding="utf-8")
    )
    return Fusion(dense=tuple(fitted["dense"]), lexical=tuple(fitted["lexical"]))
