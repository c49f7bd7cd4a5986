"""Measures dense, lexical and hybrid search, and reciprocal rank fusion as a peer, on the retrieval sets.

    python -m eval.retrieval.run --data DATA [--sets scifact selqa ...] [--all-questions]

Writes eval/results/retrieval.json, .md and .png (sets not asked for keep what the last run printed), and the
runs as TREC files beside the indexes. Indexes that are not there yet are built with the packaged encoder and
an exact engine: minutes to an hour on a CPU.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from eval.printed import RESULTS, last_run
from eval.retrieval.report import write_report
from eval.retrieval.sets import SUITES, Suite, index_of, questions_of
from ragkit.corpus.questions import Question
from ragkit.evaluation.metrics import evaluate_run
from ragkit.evaluation.runs import Run, write_run
from ragkit.evaluation.statistics import compare, estimate
from ragkit.retrieval.index import Index, Mode

MEASURES = ["nDCG@10", "RR@10", "R@5", "R@20", "R@100", "Success@1", "Success@5", "Success@20"]
DEPTH = 100
RRF_K = 60
QUESTIONS_AT_ONCE = 100


def search(index: Index, questions: list[Question], mode: Mode) -> tuple[Run, float]:
    """The run to depth 100, and questions a second, encoding included."""
    run: Run = {}
    start = time.perf_counter()
    for at in range(0, len(questions), QUESTIONS_AT_ONCE):
        some = questions[at : at + QUESTIONS_AT_ONCE]
        for question, hits in zip(
            some, index.search_batch([q.text for q in some], DEPTH, mode=mode), strict=True
        ):
            run[question.id] = {hit.passage.id: hit.score for hit in hits}
        print(f"\r{mode} {at + len(some)}/{len(questions)} questions   ", end="", file=sys.stderr)
    return run, len(questions) / (time.perf_counter() - start)


def reciprocal_rank_fusion(runs: list[Run]) -> Run:
    """The peer: sum over the runs of 1 / (60 + rank) (Cormack, Clarke and Buettcher, SIGIR 2009)."""
    fused: Run = {}
    for run in runs:
        for question, scores in run.items():
            into = fused.setdefault(question, {})
            for rank, name in enumerate(sorted(scores, key=scores.__getitem__, reverse=True), 1):
                into[name] = into.get(name, 0.0) + 1 / (RRF_K + rank)
    return fused


def measure(suite: Suite, options: argparse.Namespace) -> dict[str, Any]:
    index = index_of(suite, options.data, options.indexes)
    sample = None if options.all_questions else suite.sample
    questions = questions_of(suite, suite.test, options.data, sample)
    qrels = {question.id: question.relevant for question in questions}
    runs, rates = {}, {}
    for mode in get_args(Mode):
        runs[mode], rates[mode] = search(index, questions, mode)
    runs["rrf"] = reciprocal_rank_fusion([runs["dense"], runs["lexical"]])
    values = {name: evaluate_run(run, qrels, MEASURES) for name, run in runs.items()}
    for name, run in runs.items():
        write_run(run, options.indexes.parent / "trec" / f"{suite.name}.{suite.test}.{name}.trec", tag=name)
    better = max(("dense", "lexical"), key=lambda name: values[name]["nDCG@10"].mean())
    versus = {
        other: asdict(compare("nDCG@10", values[other]["nDCG@10"], values["hybrid"]["nDCG@10"]))
        for other in (better, "rrf")
    }
    return {
        "title": f"{suite.title} {suite.test}",
        "passages": len(index),
        "questions": len(questions),
        "of": len(questions_of(suite, suite.test, options.data, None)),
        "better": better,
        "systems": {
            name: {m: asdict(estimate(v)) for m, v in of_system.items()} for name, of_system in values.items()
        },
        "questions_a_second": rates,
        "hybrid_against": versus,
    }


def _place(key: str) -> tuple[int, str]:
    return list(SUITES).index(key.removesuffix("-all")), key


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the retrieval sets")
    parser.add_argument("--indexes", type=Path, default=Path("runs/indexes"))
    parser.add_argument("--sets", nargs="+", choices=list(SUITES), default=list(SUITES))
    parser.add_argument("--all-questions", action="store_true", help="not 3,000 drawn at random at most")
    parser.add_argument("--note", help="printed with the sets of this run, e.g. how their vectors were made")
    options = parser.parse_args()
    (options.indexes.parent / "trec").mkdir(parents=True, exist_ok=True)
    for name in options.sets:
        key = f"{name}-all" if options.all_questions else name
        measured = measure(SUITES[name], options) | {"note": options.note}
        kept = RESULTS / "retrieval.json"
        results = last_run(kept)
        results[key] = measured
        results = {key: results[key] for key in sorted(results, key=_place)}
        kept.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        print(write_report(results, RESULTS))


if __name__ == "__main__":
    main()
