"""Fits the default hybrid's four numbers on training splits and writes them to ragkit/retrieval/fusion.json.

    python -m eval.fusion.fit --data DATA [--indexes runs/indexes]

The loss of a training split is the mean of -log(share of the relevant passages) under the softmax of the
fused scores; its regret is that loss minus the least that two weights fitted for this set alone reach. The
largest regret is minimised (smoothly, by log-sum-exp), so that no kind of corpus pays for another. The table
that it writes to eval/results/fusion.md shows nDCG@10 of the one setting, and of each set under the setting
that was fitted on the other sets alone.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import OptimizeResult
from scipy.special import logsumexp, softmax

from eval.fusion.banking77 import write_beir_folder
from eval.retrieval.sets import SUITES, Suite, index_of, questions_of, vectors_of
from ragkit.corpus.questions import Question
from ragkit.retrieval.fusion import Fusion
from ragkit.training.retrieval.fusion import CandidateSet, candidate_set, fused, losses, minimised

Array = npt.NDArray[np.float64]
HERE = Path(__file__).resolve()
OUT = HERE.parents[2] / "ragkit" / "retrieval" / "fusion.json"
TABLE = HERE.parents[1] / "results" / "fusion.md"
BANKING77 = Suite("banking77", "BANKING77", "train", "")
FITTED_ON = {suite.name: suite for suite in (*SUITES.values(), BANKING77) if suite.tuning}
PENALTY = 1e-3
"""Of the squared slopes (the constants are free): keeps the fit finite where a set is separable."""
SHARPNESS = 100.0
"""Of the smooth maximum: regrets that differ by 0.01 weigh as e to 1."""


@dataclass(frozen=True)
class TrainingSet:
    """A suite's candidates, and each question's ideal DCG at 10, whose relevant passages need not be among
    the candidates, (q,)."""

    suite: Suite
    candidates: CandidateSet
    ideal: Array


def load(suite: Suite, data: Path, indexes: Path) -> TrainingSet:
    assert suite.tuning is not None
    index = index_of(suite, data, indexes)
    questions = questions_of(suite, suite.tuning, data, suite.sample)
    vectors = vectors_of(index, questions, indexes.parent / "questions" / f"{suite.name}.{suite.tuning}.npz")
    return TrainingSet(suite, candidate_set(index, questions, vectors), ideal_of(questions))


def ideal_of(questions: Sequence[Question]) -> Array:
    """Each question's highest DCG at 10."""
    return np.array([_dcg(np.array(sorted(q.relevant.values(), reverse=True), float)) for q in questions])


def fit(sets: Sequence[TrainingSet]) -> Fusion:
    """Minimises the largest regret over the sets."""
    parts = [one.candidates.take(one.candidates.reachable()) for one in sets]
    least = [_minimise(lambda theta, part=part: _loss(part, theta), [0, 2]).fun for part in parts]

    def largest_regret(theta: Array) -> tuple[float, Array]:
        values, gradients = zip(*(_loss(part, theta) for part in parts), strict=True)
        regrets = SHARPNESS * (np.array(values) - least)
        slopes = theta * [0, 1, 0, 1]
        value = logsumexp(regrets) / SHARPNESS + PENALTY * float((slopes**2).sum())
        return value, softmax(regrets) @ np.array(gradients) + 2 * PENALTY * slopes

    a_0, a_1, b_0, b_1 = _minimise(largest_regret, [0, 1, 2, 3]).x.round(4).tolist()
    return Fusion(dense=(a_0, a_1), lexical=(b_0, b_1))


def _loss(part: CandidateSet, theta: Array) -> tuple[float, Array]:
    """The mean over questions, and its gradient in (a_0, a_1, b_0, b_1)."""
    values, gradients = losses(part, theta)
    return float(values.mean()), gradients.mean(axis=0)


def _minimise(objective: Callable[[Array], tuple[float, Array]], free: list[int]) -> OptimizeResult:
    """Over the `free` of the four numbers; the others stay 0."""

    def of_the_free(x: Array) -> tuple[float, Array]:
        theta = np.zeros(4)
        theta[free] = x
        value, gradient = objective(theta)
        return value, gradient[free]

    return minimised(of_the_free, np.zeros(len(free)))


def ndcg(one: TrainingSet, fusion: Fusion | str) -> float:
    """Mean nDCG@10 by the fusion, or by the side that is named."""
    of = one.candidates
    scores = of.z[:, ("dense", "lexical").index(fusion)] if isinstance(fusion, str) else fused(of, fusion)
    order = np.argsort(np.where(of.gains < 0, np.inf, -scores), axis=1, kind="stable")[:, :10]
    gains = np.maximum(np.take_along_axis(of.gains, order, axis=1), 0)
    return float(np.mean([_dcg(row) / best for row, best in zip(gains, one.ideal, strict=True)]))


def _dcg(gains: Array) -> float:
    return float((gains[:10] / np.log2(np.arange(2, 2 + len(gains[:10])))).sum())


def _table(sets: Sequence[TrainingSet], chosen: Fusion) -> str:
    lines = [
        "| set | questions | dense | lexical | hybrid | hybrid fitted without this set |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in sets:
        others = fit([other for other in sets if other is not one])
        row = [ndcg(one, "dense"), ndcg(one, "lexical"), ndcg(one, chosen), ndcg(one, others)]
        name = f"{one.suite.title} {one.suite.tuning}"
        lines.append(
            f"| {name} | {len(one.candidates):,} | " + " | ".join(f"{value:.4f}" for value in row) + " |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the retrieval sets")
    parser.add_argument("--indexes", type=Path, default=Path("runs/indexes"))
    parser.add_argument("--sets", nargs="+", choices=list(FITTED_ON), default=list(FITTED_ON))
    options = parser.parse_args()
    written = options.indexes.parent / "sets"
    sets = []
    for name in options.sets:
        if name == BANKING77.name:
            write_beir_folder(options.data, written / name)
        data = written if name == BANKING77.name else options.data
        sets.append(load(FITTED_ON[name], data, options.indexes))
    chosen = fit(sets)
    fitted_on = {f"{one.suite.name} {one.suite.tuning}": len(one.candidates) for one in sets}
    fields = {"dense": chosen.dense, "lexical": chosen.lexical, "questions": fitted_on}
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in fields.items())
    OUT.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    table = _table(sets, chosen)
    TABLE.write_text(
        "# The default hybrid, on the splits that it was fitted on\n\n"
        f"`python -m eval.fusion.fit --data DATA --sets {' '.join(options.sets)}`, nDCG@10:\n\n{table}\n\n"
        f"a = {list(chosen.dense)}, b = {list(chosen.lexical)} (see `ragkit/retrieval/fusion.py`)\n"
    )
    print(table)


if __name__ == "__main__":
    main()
