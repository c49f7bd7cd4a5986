"""How the hybrid's four numbers are learnt: the conditional logit of `ragkit.retrieval.fusion`.

The default's fit (`python -m eval.fusion.fit`) minimises the largest regret over many corpora with it;
`tune` moves the default towards one index's own questions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import OptimizeResult, minimize
from scipy.special import logsumexp

from ragkit.corpus.questions import Question
from ragkit.encoders.encoder import Vectors
from ragkit.errors import RagkitError
from ragkit.evaluation.statistics import Comparison, compare
from ragkit.index.rewriting import store_fusion
from ragkit.retrieval.fusion import Fusion, agreement, default_fusion, standardised
from ragkit.retrieval.index import Index

Array = npt.NDArray[np.float64]

FOLDS = 5
FEWEST = 20
"""Questions with a relevant passage among the candidates: four in a fold."""
SPREAD = 0.5
"""Standard deviation of the normal prior around the default's four numbers, logarithms of weights: a factor
of 1.6 either way is likely before any question is seen."""


@dataclass(frozen=True)
class CandidateSet:
    """The candidates of q questions, padded to c: z (q, 2, c), agreement (q,), gains (q, c), -1 in the
    padding."""

    z: Array
    agreement: Array
    gains: Array

    def __len__(self) -> int:
        return len(self.z)

    def take(self, questions: npt.NDArray[Any]) -> "CandidateSet":
        """Those of some questions, by number or by mask."""
        return CandidateSet(self.z[questions], self.agreement[questions], self.gains[questions])

    def reachable(self) -> npt.NDArray[np.bool_]:
        """(q,): whether a relevant passage is among the candidates; where none is, no weight changes that."""
        return np.asarray((self.gains > 0).any(axis=1))


def candidate_set(index: Index, questions: Sequence[Question], vectors: Vectors) -> CandidateSet:
    """What the hybrid chooses from for each question. `vectors`: of the questions, (q, d)."""
    found = index.candidates([question.text for question in questions], vectors)
    width = max(len(candidates.rows) for candidates in found)
    z = np.zeros((len(found), 2, width))
    gains = np.full((len(found), width), -1.0)
    for i, (question, candidates) in enumerate(zip(questions, found, strict=True)):
        count = len(candidates.rows)
        z[i, :, :count] = standardised(candidates)
        gains[i, :count] = [
            max(question.relevant.get(name, 0) for name in (passage.id, passage.document_id))
            for passage in index.passages(candidates.rows)
        ]
    return CandidateSet(z, np.array([agreement(candidates) for candidates in found]), gains)


def losses(of: CandidateSet, theta: Array) -> tuple[Array, Array]:
    """-log of the relevant passages' share under the softmax of the fused scores, (q,), and its gradient in
    theta = (a_0, a_1, b_0, b_1), (q, 4). Every question must be reachable."""
    u = np.stack([np.ones_like(of.agreement), of.agreement], axis=1)
    weighted = np.exp(u @ theta.reshape(2, 2).T)[:, :, None] * of.z
    scores = np.where(of.gains < 0, -np.inf, weighted.sum(axis=1))
    relevant = np.where(of.gains > 0, scores, -np.inf)
    all_of, good = logsumexp(scores, axis=1), logsumexp(relevant, axis=1)
    slope = np.exp(scores - all_of[:, None]) - np.exp(relevant - good[:, None])
    per_side = (weighted * slope[:, None, :]).sum(axis=2)  # d loss / d log weight, (q, 2)
    return all_of - good, (per_side[:, :, None] * u[:, None, :]).reshape(-1, 4)


def minimised(objective: Callable[[Array], tuple[float, Array]], start: Array) -> OptimizeResult:
    """By L-BFGS with the objective's own gradient."""
    return minimize(objective, start, jac=True, method="L-BFGS-B")


def fused(of: CandidateSet, fusion: Fusion) -> Array:
    """The fused scores, (q, c); those of the padding mean nothing."""
    return (fusion.weights(of.agreement)[:, :, None] * of.z).sum(axis=1)


def reciprocal_ranks(of: CandidateSet, scores: Array) -> Array:
    """1 / rank of each question's first relevant candidate by scores (q, c); 0 beyond rank 10, (q,)."""
    best = np.where(of.gains > 0, scores, -np.inf).max(axis=1)
    ranks = 1 + ((scores > best[:, None]) & (of.gains >= 0)).sum(axis=1)
    return np.where(np.isfinite(best) & (ranks <= 10), 1 / ranks, 0.0)


@dataclass(frozen=True)
class TuningReport:
    """What `tune` found. The comparisons (a: the default, b: tuned) are of questions left out of the fit."""

    fusion: Fusion
    kept: bool
    """Whether it is stored: on the questions left out the relevant passages' likelihood rose, by an interval
    above 0."""
    questions: int
    unreachable: int
    """Questions without a relevant passage among the candidates."""
    log_likelihood: Comparison
    reciprocal_rank: Comparison


def tune(index: Index, questions: Sequence[Question], *, seed: int = 0) -> TuningReport:
    """Fits the hybrid to an index's own questions and stores it with the index where it helps.

    Maximum a posteriori around the default (`SPREAD`), judged by cross-validation in `FOLDS` parts. An index
    that was tuned before is judged against the default, too, and goes back to it where tuning does not help.

    Raises RagkitError with fewer than `FEWEST` questions to learn from, and for an index without its lexical
    part.
    """
    questions = [question for question in questions if question.relevant]
    if len(questions) < FEWEST:
        raise RagkitError(
            f"{len(questions)} questions with a relevant passage are too few to tune on: give {FEWEST}"
        )
    vectors = index.encoder.encode_questions([question.text for question in questions])
    found = candidate_set(index, questions, vectors)
    usable = found.take(found.reachable())
    if len(usable) < FEWEST:
        raise RagkitError(
            f"of {len(questions)} questions only {len(usable)} have their passage among the candidates, "
            f"{FEWEST} are needed: is this the index they were written for?"
        )
    fold = np.random.default_rng(seed).permutation(np.arange(len(usable)) % FOLDS)
    default = _numbers(default_fusion())
    likelihood = np.empty(len(usable))
    measured = np.empty(len(usable))
    for part in range(FOLDS):
        out = fold == part
        theta = _fitted(usable.take(~out))
        likelihood[out] = -losses(usable.take(out), theta)[0]
        measured[out] = reciprocal_ranks(usable.take(out), fused(usable.take(out), _fusion(theta)))
    judged = compare("log-likelihood", -losses(usable, default)[0], likelihood)
    kept = judged.difference.low > 0
    fusion = _fusion(_fitted(usable)) if kept else default_fusion()
    if kept:
        numbers = {"dense": fusion.dense, "lexical": fusion.lexical, "questions": len(usable)}
        store_fusion(index.path, numbers)
    elif index.manifest.fusion is not None:
        store_fusion(index.path, None)
    before = reciprocal_ranks(usable, fused(usable, default_fusion()))
    ranks = compare("RR@10", before, measured)
    return TuningReport(fusion, kept, len(usable), len(questions) - len(usable), judged, ranks)


def _fitted(of: CandidateSet) -> Array:
    default = _numbers(default_fusion())

    def objective(theta: Array) -> tuple[float, Array]:
        values, gradients = losses(of, theta)
        away = (theta - default) / SPREAD
        return float(values.sum() + (away**2).sum() / 2), gradients.sum(axis=0) + away / SPREAD

    return np.asarray(minimised(objective, default).x.round(4))


def _numbers(fusion: Fusion) -> Array:
    return np.array([*fusion.dense, *fusion.lexical])


def _fusion(theta: Array) -> Fusion:
    a_0, a_1, b_0, b_1 = theta.tolist()
    return Fusion(dense=(a_0, a_1), lexical=(b_0, b_1))
