"""Measures the graph reranker against no graph and against smoothed scores, question by question.

    python -m eval.retrieval.graph --data DATA [--sets scifact fairytaleqa] [--questions 600]

Trained on each set's training split, measured on its test split; smoothing takes its share from the training
split, too. Writes eval/results/graph.json and .md (sets not asked for keep what the last run printed).
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from eval.cells import interval, tested
from eval.printed import RESULTS, last_run
from eval.retrieval.sets import SUITES, Suite, index_of, questions_of, vectors_of
from ragkit.corpus.questions import Question
from ragkit.encoders.encoder import Vectors
from ragkit.evaluation.metrics import evaluate_run
from ragkit.evaluation.runs import Run
from ragkit.evaluation.statistics import compare, estimate
from ragkit.retrieval.fusion import Candidates, Scores
from ragkit.retrieval.graph_reranking import POOL, GraphReranker, Neighbourhoods
from ragkit.retrieval.index import Index
from ragkit.retrieval.passage_graph import KINDS, PassageGraph
from ragkit.training.ranking.graph import lessons_of, train_graph_reranker

MEASURES = ["RR@10", "nDCG@10", "R@10"]
SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3)
"""Of the neighbours' mean in a smoothed score."""
SYSTEMS = {
    "hybrid": "hybrid",
    "smoothed": "smoothed scores",
    "alone": "trained, no edges",
    "graph": "trained, passage graph",
}


class Smoothing:
    """s'_n = (1 - α) s_n + α mean of s over n's neighbours; those who are no candidates count as the last."""

    def __init__(self, index: Index, graph: PassageGraph) -> None:
        self.index = index
        both = np.unique(np.concatenate([graph.edges[kind] for kind in KINDS], axis=1), axis=1)
        self.sources = both[0, np.argsort(both[1], kind="stable")]
        self.ends = np.cumsum(np.bincount(both[1], minlength=graph.rows))

    def rank(self, candidates: Candidates, share: float) -> tuple[Scores, Any]:
        fused = self.index.fusion.fuse(candidates)
        order = np.lexsort((candidates.rows, -fused))[:POOL]
        scores = []
        for row, own in zip(candidates.rows[order].tolist(), fused[order], strict=True):
            near = self.sources[self.ends[row - 1] if row else 0 : self.ends[row]]
            place = np.searchsorted(candidates.rows, near).clip(max=len(fused) - 1)
            heard = np.where(candidates.rows[place] == near, fused[place], fused.min())
            scores.append((1 - share) * own + share * (heard.mean() if len(near) else own))
        best = np.argsort(-np.array(scores), kind="stable")
        return np.array(scores)[best], candidates.rows[order][best]


def run_of(index: Index, questions: Sequence[Question], rankings: Sequence[tuple[Scores, Any]]) -> Run:
    return {
        question.id: {p.id: float(s) for p, s in zip(index.passages(rows), scores, strict=True)}
        for question, (scores, rows) in zip(questions, rankings, strict=True)
    }


def measure(suite: Suite, options: argparse.Namespace) -> dict[str, Any]:
    assert suite.tuning is not None
    index = index_of(suite, options.data, options.indexes)
    began = time.perf_counter()
    graph = PassageGraph.build(index)
    built = time.perf_counter() - began
    found: dict[str, tuple[list[Question], Vectors, list[Candidates]]] = {}
    for split in (suite.tuning, suite.test):
        asked = questions_of(suite, split, options.data, options.questions)
        kept = options.out / "questions" / f"{suite.name}.{split}.npz"
        vectors = vectors_of(index, asked, kept)
        found[split] = asked, vectors, index.candidates([q.text for q in asked], vectors)
        print(f"{suite.name} {split}: {len(asked)} questions", file=sys.stderr)
    train, (test, vectors, candidates) = found[suite.tuning], found[suite.test]
    rerankers = {}
    for name, edges in (("alone", graph.without_edges()), ("graph", graph)):
        around = Neighbourhoods(index, edges)
        out = options.out / suite.name / name
        lessons = lessons_of(around, *train)
        result = train_graph_reranker(around, lessons, out)
        print(f"{suite.name} {name}: {len(lessons)} lessons, {result.scores}", file=sys.stderr)
        rerankers[name] = GraphReranker.load(index, edges, result.weights)
    smoothing = Smoothing(index, graph)
    qrels = {q.id: q.relevant for q in train[0]}
    gains = [
        evaluate_run(run_of(index, train[0], [smoothing.rank(c, a) for c in train[2]]), qrels, ["RR@10"])
        for a in SHARES
    ]
    share = SHARES[int(np.argmax([gain["RR@10"].mean() for gain in gains]))]
    runs = {
        "hybrid": run_of(index, test, [smoothing.rank(c, 0.0) for c in candidates]),
        "smoothed": run_of(index, test, [smoothing.rank(c, share) for c in candidates]),
    }
    milliseconds = {}
    for name, reranker in rerankers.items():
        began = time.perf_counter()
        runs[name] = run_of(index, test, reranker.rank(vectors, candidates))
        milliseconds[name] = 1000 * (time.perf_counter() - began) / len(test)
    truth = {q.id: q.relevant for q in test}
    values = {name: evaluate_run(run, truth, MEASURES) for name, run in runs.items()}
    return {
        "title": f"{suite.title} {suite.test}",
        "questions": len(test),
        "lessons": len(lessons),
        "passages": len(index),
        "edges": {kind: graph.edges[kind].shape[1] for kind in KINDS},
        "build_seconds": round(built, 1),
        "share": share,
        "milliseconds": milliseconds,
        "systems": {
            name: {m: asdict(estimate(v)) for m, v in of_system.items()} for name, of_system in values.items()
        },
        "graph_against": {
            other: {m: asdict(compare(m, values[other][m], values["graph"][m])) for m in MEASURES}
            for other in ("hybrid", "smoothed", "alone")
        },
    }


def report(results: dict[str, Any]) -> str:
    lines = [
        "# The passage graph",
        "",
        f"`python -m eval.retrieval.graph --data DATA`: the best {POOL} passages of the default hybrid "
        "ranked anew. Smoothed: α of the neighbours' mean score, α chosen on the training split. No edges: "
        "the same network, trained the same way, in which no passage hears another. Means with 95 % "
        "bootstrap intervals over test questions.",
        "",
        "| set | system | " + " | ".join(MEASURES) + " |",
        "| --- | --- |" + " ---: |" * len(MEASURES),
    ]
    for one in results.values():
        for name, text in SYSTEMS.items():
            label = f"{text}, α = {one['share']:g}" if name == "smoothed" else text
            cells = " | ".join(interval(one["systems"][name][m]) for m in MEASURES)
            lines.append(f"| {one['title']} | {label} | {cells} |")
    lines += ["", "RR@10 of the passage graph less that of the others, paired (randomisation test):", ""]
    lines += ["| set | questions | over hybrid | over smoothed | over no edges |"]
    lines += ["| --- | ---: | ---: | ---: | ---: |"]
    for one in results.values():
        cells = " | ".join(tested(one["graph_against"][o]["RR@10"]) for o in ("hybrid", "smoothed", "alone"))
        lines.append(f"| {one['title']} | {one['questions']:,} | {cells} |")
    lines += [
        "",
        "| set | passages | edges: " + ", ".join(KINDS) + " | built in | learnt from | ms a question |",
    ]
    lines += ["| --- | ---: | --- | ---: | ---: | ---: |"]
    for one in results.values():
        edges = ", ".join(f"{one['edges'][kind]:,}" for kind in KINDS)
        lines.append(
            f"| {one['title']} | {one['passages']:,} | {edges} | {one['build_seconds']:.0f} s "
            f"| {one['lessons']:,} questions | {one['milliseconds']['graph']:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the retrieval sets")
    parser.add_argument("--indexes", type=Path, default=Path("runs/indexes"))
    parser.add_argument("--out", type=Path, default=Path("runs/graph"), help="weights and question vectors")
    with_training = ["scifact", "fairytaleqa", "squad"]
    parser.add_argument("--sets", nargs="+", choices=with_training, default=with_training)
    parser.add_argument("--questions", type=int, default=600, help="of a split at most")
    options = parser.parse_args()
    kept = RESULTS / "graph.json"
    for name in options.sets:
        measured = measure(SUITES[name], options)
        results = last_run(kept)
        results[name] = measured
        results = {name: results[name] for name in with_training if name in results}
        kept.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        (RESULTS / "graph.md").write_text(report(results), encoding="utf-8")
        print(f"\n{report(results)}")


if __name__ == "__main__":
    main()
