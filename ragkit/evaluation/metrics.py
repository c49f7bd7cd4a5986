"""Measures of a ranking: R@k, Success@k, P@k, RR@k, AP@k, nDCG@k, named as ir-measures names them.

Without `@k` the whole ranking counts. `Success@k` is DPR's "top-k accuracy" (any relevant one in the first
k), `R@k` the share of all relevant ones: where a question has one relevant passage they are equal. nDCG has
the gain of trec_eval, the grade itself, and the discount 1/log2(rank + 1) (Järvelin and Kekäläinen 2002).
"""

import math
import re
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ragkit.errors import RagkitError
from ragkit.evaluation.runs import Qrels, Run, ranking

Values = npt.NDArray[np.float64]
Grades = Sequence[int]
"""Grades of the ranked documents, best first, cut at k; 0 is not relevant."""


def recall(ranked: Grades, relevant: Grades, k: int | None) -> float:
    return sum(grade > 0 for grade in ranked) / len(relevant)


def success(ranked: Grades, relevant: Grades, k: int | None) -> float:
    return float(any(grade > 0 for grade in ranked))


def precision(ranked: Grades, relevant: Grades, k: int | None) -> float:
    return sum(grade > 0 for grade in ranked) / (k or max(1, len(ranked)))


def reciprocal_rank(ranked: Grades, relevant: Grades, k: int | None) -> float:
    return next((1 / rank for rank, grade in enumerate(ranked, 1) if grade > 0), 0.0)


def average_precision(ranked: Grades, relevant: Grades, k: int | None) -> float:
    found, total = 0, 0.0
    for rank, grade in enumerate(ranked, 1):
        if grade > 0:
            found += 1
            total += found / rank
    return total / len(relevant)


def ndcg(ranked: Grades, relevant: Grades, k: int | None) -> float:
    return _gain(ranked) / _gain(sorted(relevant, reverse=True)[:k])


def _gain(grades: Grades) -> float:
    return sum(max(0, grade) / math.log2(rank + 1) for rank, grade in enumerate(grades, 1))


MEASURES: dict[str, Callable[[Grades, Grades, int | None], float]] = {
    "R": recall,
    "Success": success,
    "P": precision,
    "RR": reciprocal_rank,
    "AP": average_precision,
    "nDCG": ndcg,
}


def evaluate_run(run: Run, qrels: Qrels, metrics: Sequence[str]) -> dict[str, Values]:
    """For each measure its value for each question of `judged(qrels)`, in that order.

    A question that the run lacks scores 0. Raises RagkitError for an unknown measure.
    """
    questions = judged(qrels)
    parsed = {name: parse(name) for name in metrics}
    values = {name: np.zeros(len(questions)) for name in metrics}
    for at, question in enumerate(questions):
        grades = qrels[question]
        ranked = [grades.get(document, 0) for document in ranking(run.get(question, {}))]
        relevant = [grade for grade in grades.values() if grade > 0]
        for name, (measure, k) in parsed.items():
            values[name][at] = measure(ranked[:k], relevant, k)
    return values


def judged(qrels: Qrels) -> list[str]:
    """The questions that have a relevant document: only for them is a ranking right or wrong."""
    return [question for question, grades in qrels.items() if any(grade > 0 for grade in grades.values())]


def parse(name: str) -> tuple[Callable[[Grades, Grades, int | None], float], int | None]:
    """("nDCG@10") -> (ndcg, 10). Raises RagkitError for a name that is not a measure."""
    match = re.fullmatch(r"([A-Za-z]+)(?:@([1-9]\d*))?", name)
    if match is None or match[1] not in MEASURES:
        raise RagkitError(f"no measure {name!r}: there are {', '.join(MEASURES)}, each with @k or without")
    return MEASURES[match[1]], int(match[2]) if match[2] else None
