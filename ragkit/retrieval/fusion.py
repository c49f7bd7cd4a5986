"""The default hybrid: dense and lexical scores of one question's candidates put together.

Neither side wins everywhere: words win where passages say what questions say, meaning wins where they put it
in other words. How far a question's own words are found tells the two apart. With d and l the dense and the
lexical score of a passage, means and deviations over the best `DEPTH` of each side:

    z_d = (d - mean_d) / std_d        z_l = (l - mean_l) / std_l
    c   = the highest l / the highest there could be           coverage, from 0 to 1
    s   = exp(a_0 + a_1 log c) z_d + exp(b_0 + b_1 log c) z_l

BM25 gives a word its idf at most: the highest l there could be is the sum of idf over the question's words.
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
LEAST_COVERAGE = 0.02
"""Lower coverage counts as this much: log c is finite for a question that shares no word with the corpus."""


@dataclass(frozen=True)
class Candidates:
    """What one question found: passage rows, ascending, each with its dense and lexical score, all (c,); the
    up to `DEPTH` highest scores of each side; and the coverage, the highest lexical score as a share of the
    highest there could be."""

    rows: Ids
    dense: Scores
    lexical: Scores
    best_dense: Scores
    best_lexical: Scores
    coverage: float


@dataclass(frozen=True)
class Fusion:
    """The four numbers: a = `dense`, b = `lexical`."""

    dense: tuple[float, float]
    lexical: tuple[float, float]

    def weights(self, coverage: npt.ArrayLike) -> Scores:
        """The positive weights of z_d and z_l at a coverage, (...) -> (..., 2)."""
        log_coverage = np.log(np.maximum(np.asarray(coverage, dtype=np.float64), LEAST_COVERAGE))
        (a_0, a_1), (b_0, b_1) = self.dense, self.lexical
        return np.exp(np.stack([a_0 + a_1 * log_coverage, b_0 + b_1 * log_coverage], axis=-1))

    def fuse(self, candidates: Candidates) -> Scores:
        """The fused score of each candidate, (c,), higher is better."""
        of_dense, of_lexical = self.weights(candidates.coverage)
        z_dense, z_lexical = standardised(candidates)
        return of_dense * z_dense + of_lexical * z_lexical


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
    """The one setting for all corpora and encoders, from `fusion.json`."""
    fitted: dict[str, Any] = json.loads(
        (files("ragkit.retrieval") / "fusion.json").read_text(encoding="utf-8")
    )
    return Fusion(dense=tuple(fitted["dense"]), lexical=tuple(fitted["lexical"]))
