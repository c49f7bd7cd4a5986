"""Fits the weights of a reranker and of each search mode on training splits, into its ranking.json.

    python -m eval.fusion.fit_rerank --data DATA --reranker runs/reranker/run/model [--questions 300]

Two numbers a mode, a of the retrieval's log-odds and w of the reranker's logit
(`ragkit.retrieval.reranking`), fitted as those of the hybrid are (`eval.fusion.fit`): the largest regret over
the sets is minimised. Questions are those that the reranker was not trained on: about the articles that
`eval.training.reranker_data` leaves out, and SelQA's dev split. Writes eval/results/rerank_fit.md, too.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from eval.fusion.fit import Array, TrainingSet, fit, ideal_of, ndcg
from eval.retrieval.sets import SUITES, Suite, index_of, questions_of, vectors_of
from eval.training.reranker_data import LEARNT_FROM, article_of, is_left_out, titles_by_id
from ragkit.corpus.questions import Question
from ragkit.encoders.encoder import Vectors
from ragkit.retrieval.fusion import default_fusion
from ragkit.retrieval.index import Index, Mode, Ranking
from ragkit.retrieval.reranking import DEPTH, WEIGHTS_FILE, Reranker, load_reranker
from ragkit.retrieval.temperature import TEMPERATURES
from ragkit.training.retrieval.fusion import CandidateSet

MODES: tuple[Mode, ...] = get_args(Mode)
TABLE = Path(__file__).resolve().parents[1] / "results" / "rerank_fit.md"
AT_ONCE = 50
"""Questions whose passages are read at once."""


def load(suite: Suite, data: Path, indexes: Path, reranker: Reranker, limit: int) -> dict[Mode, TrainingSet]:
    """By mode: log-odds of retrieval and logits of the reranker as the two features of the best `DEPTH`."""
    assert suite.tuning is not None
    index = index_of(suite, data, indexes)
    asked = questions_of(suite, suite.tuning, data, suite.sample)
    vectors = vectors_of(index, asked, indexes.parent / "questions" / f"{suite.name}.{suite.tuning}.npz")
    kept = list(range(len(asked)))
    if suite.name in LEARNT_FROM:
        titles = titles_by_id(index)
        kept = [at for at in kept if is_left_out(article_of(asked[at], titles))]
    kept = kept[:limit]
    asked, vectors = [asked[at] for at in kept], vectors[kept]
    rankings = {mode: search(index, mode, asked, vectors) for mode in MODES}
    union = [np.unique(np.concatenate([rankings[mode][i][1] for mode in MODES])) for i in range(len(asked))]
    logits: list[Array] = []
    for at in range(0, len(asked), AT_ONCE):
        some = slice(at, at + AT_ONCE)
        passages = [index.passages(rows) for rows in union[some]]
        logits += reranker.logits([question.text for question in asked[some]], passages)
        print(f"\r{suite.name} {len(logits)}/{len(asked)} questions   ", end="", file=sys.stderr)
    ids = [passage.id for passage in index.passages(range(len(index)))]
    return {mode: _set(suite, mode, asked, rankings[mode], union, logits, ids) for mode in MODES}


def search(index: Index, mode: Mode, questions: Sequence[Question], vectors: Vectors) -> list[Ranking]:
    """The best `DEPTH` of each question."""
    texts = [question.text for question in questions]
    if mode == "hybrid":
        found = []
        for candidates in index.candidates(texts, vectors):
            scores = default_fusion().fuse(candidates)
            best = np.argsort(-scores, kind="stable")[:DEPTH]
            found.append((scores[best], candidates.rows[best]))
        return found
    both = (
        index.dense_candidates(vectors, DEPTH) if mode == "dense" else index.lexical_candidates(texts, DEPTH)
    )
    return [(s[r >= 0], r[r >= 0]) for s, r in zip(*both, strict=True)]


def _set(
    suite: Suite,
    mode: Mode,
    questions: Sequence[Question],
    rankings: Sequence[Ranking],
    union: Sequence[Array],
    logits: Sequence[Array],
    ids: Sequence[str],
) -> TrainingSet:
    z = np.zeros((len(questions), 2, DEPTH))
    gains = np.full((len(questions), DEPTH), -1.0)
    for i, (question, (scores, rows)) in enumerate(zip(questions, rankings, strict=True)):
        count = len(rows)
        z[i, 0, :count] = scores / TEMPERATURES[mode]
        z[i, 1, :count] = logits[i][np.searchsorted(union[i], rows)]
        gains[i, :count] = [question.relevant.get(ids[row], 0) for row in rows]
    # No agreement between two sides to go by: the slopes of the hybrid's weights stay 0.
    return TrainingSet(suite, CandidateSet(z, np.zeros(len(questions)), gains), ideal_of(questions))


def weights_of(sets: Sequence[TrainingSet]) -> tuple[float, float]:
    """a and w of least largest regret."""
    fitted = fit(sets)
    a, w = float(np.exp(fitted.dense[0])), float(np.exp(fitted.lexical[0]))
    return round(a, 4), round(w, 4)


def _table(sets: Sequence[dict[Mode, TrainingSet]]) -> str:
    lines = [
        "| mode | set | questions | retrieval | reranker | both | both, fitted without this set |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for mode in MODES:
        of_mode = [one[mode] for one in sets]
        chosen = fit(of_mode)
        for one in of_mode:
            others = fit([other for other in of_mode if other is not one] or [one])
            row = [ndcg(one, "dense"), ndcg(one, "lexical"), ndcg(one, chosen), ndcg(one, others)]
            cells = " | ".join(f"{value:.4f}" for value in row)
            name = f"{one.suite.title} {one.suite.tuning}"
            lines.append(f"| {mode} | {name} | {len(one.candidates):,} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    names = [suite.name for suite in SUITES.values() if suite.tuning]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the retrieval sets")
    parser.add_argument("--reranker", type=Path, required=True, help="its folder, where ranking.json goes")
    parser.add_argument("--indexes", type=Path, default=Path("runs/indexes"))
    parser.add_argument("--questions", type=int, default=300, help="of each set at most")
    parser.add_argument("--sets", nargs="+", choices=names, default=names)
    options = parser.parse_args()
    reranker = load_reranker(options.reranker)
    sets = [
        load(SUITES[name], options.data, options.indexes, reranker, options.questions)
        for name in options.sets
    ]
    weights = {mode: weights_of([one[mode] for one in sets]) for mode in MODES}
    fitted_on = {
        f"{one['hybrid'].suite.name} {one['hybrid'].suite.tuning}": len(one["hybrid"].candidates)
        for one in sets
    }
    fields = {"weights": weights, "questions": fitted_on}
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in fields.items())
    (options.reranker / WEIGHTS_FILE).write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    table = _table(sets)
    TABLE.write_text(
        "# The weights of the reranker, on questions that it was not trained on\n\n"
        f"`python -m eval.fusion.fit_rerank --data DATA --reranker FOLDER --questions {options.questions}`: "
        f"nDCG@10 of each mode's best {DEPTH} passages as they come, by the reranker alone, and by both.\n\n"
        f"{table}\n\n(a, w) = {json.dumps(weights)} (see `ragkit/retrieval/reranking.py`)\n",
        encoding="utf-8",
    )
    print(f"\n{table}\n{json.dumps(weights)}")


if __name__ == "__main__":
    main()
