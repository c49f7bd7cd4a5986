"""Fits the temperature of p(z|x) = softmax(score / temperature) for each search mode, on training splits.

    python -m eval.fusion.temperature --data DATA [--indexes runs/indexes] [--sets scifact,selqa,fairytaleqa]

The likelihood of the relevant passages among the five that the search returns is maximised, over the
questions that have one there, each set with the same weight. Prints the optimum of all sets and of each one;
the defaults in ragkit/retrieval/temperature.py are the former, rounded. Writes eval/results/temperature.md.
"""

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp

from eval.retrieval.sets import SUITES, Suite, index_of, questions_of, vectors_of
from ragkit.encoders.encoder import Vectors
from ragkit.retrieval.fusion import default_fusion
from ragkit.retrieval.index import Index
from ragkit.retrieval.temperature import TEMPERATURES

Array = npt.NDArray[np.float64]
K = 5
TABLE = Path(__file__).resolve().parents[1] / "results" / "temperature.md"


def load(suite: Suite, data: Path, indexes: Path) -> dict[str, tuple[Array, Array]]:
    """By mode: scores (q, K) and whether each passage is relevant, of questions that found a relevant one."""
    assert suite.tuning is not None
    index = index_of(suite, data, indexes)
    questions = questions_of(suite, suite.tuning, data, suite.sample)
    vectors = vectors_of(index, questions, indexes.parent / "questions" / f"{suite.name}.{suite.tuning}.npz")
    texts = [question.text for question in questions]
    ids = [passage.id for passage in index.passages(range(len(index)))]
    found = {
        "dense": index.dense_candidates(vectors, K),
        "lexical": index.lexical_candidates(texts, K),
        "hybrid": _fused(index, texts, vectors),
    }
    kept = {}
    for mode, (scores, rows) in found.items():
        relevant = np.array(
            [
                [row >= 0 and question.relevant.get(ids[row], 0) > 0 for row in of_question]
                for question, of_question in zip(questions, rows, strict=True)
            ]
        )
        usable = relevant.any(axis=1) & np.isfinite(scores).all(axis=1)
        kept[mode] = np.asarray(scores, dtype=np.float64)[usable], relevant[usable]
    return kept


def _fused(index: Index, texts: list[str], vectors: Vectors) -> tuple[Array, Array]:
    fuse = default_fusion().fuse
    scores, rows = np.full((len(texts), K), -np.inf), np.full((len(texts), K), -1)
    for i, candidates in enumerate(index.candidates(texts, vectors)):
        fused = fuse(candidates)
        best = np.argsort(-fused, kind="stable")[:K]
        scores[i, : len(best)], rows[i, : len(best)] = fused[best], candidates.rows[best]
    return scores, rows


def loss(temperature: float, scores: Array, relevant: Array) -> float:
    """Mean of -log p(a relevant passage) under the softmax of the scores."""
    prior = log_softmax(scores / temperature, axis=1)
    return -float(np.mean(logsumexp(np.where(relevant, prior, -np.inf), axis=1)))


def fit(sets: list[tuple[Array, Array]]) -> float:
    def total(log_temperature: float) -> float:
        return sum(loss(np.exp(log_temperature), scores, relevant) for scores, relevant in sets)

    return float(np.exp(minimize_scalar(total, bounds=(np.log(1e-3), np.log(1e3)), method="bounded").x))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--indexes", type=Path, default=Path("runs/indexes"))
    arguments.add_argument("--sets", default="scifact,selqa,fairytaleqa")
    options = arguments.parse_args()
    names = options.sets.split(",")
    sets = {name: load(SUITES[name], options.data, options.indexes) for name in names}
    lines = [
        "# The temperature of p(z|x)",
        "",
        f"Fitted on training splits ({', '.join(names)}) over the {K} best passages; loss: mean -log p of "
        "the relevant ones, at temperature 1, at the optimum, and at the default.",
        "",
        f"| mode | optimum | {' | '.join(names)} | default | loss at 1 | at the optimum | at the default |",
        f"|---|---|{'---|' * len(names)}---|---|---|---|",
    ]
    for mode, default in TEMPERATURES.items():
        of_mode = [sets[name][mode] for name in names]
        optimum = fit(of_mode)
        own = " | ".join(f"{fit([one]):.3g}" for one in of_mode)
        losses = [np.mean([loss(t, *one) for one in of_mode]) for t in (1.0, optimum, default)]
        cells = " | ".join(f"{value:.3f}" for value in losses)
        lines.append(f"| {mode} | {optimum:.3g} | {own} | {default} | {cells} |")
    TABLE.write_text("\n".join(lines) + "\n")
    print(TABLE.read_text())


if __name__ == "__main__":
    main()
