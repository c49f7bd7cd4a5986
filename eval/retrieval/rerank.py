"""Measures the hybrid without and with the reranker, question by question, on the retrieval sets.

    python -m eval.retrieval.rerank --data DATA [--sets scifact ...] [--reranker FOLDER] [--depth 30]

Writes eval/results/rerank.json and .md (sets not asked for keep what the last run printed). A question of 30
passages takes half a second to a second on two cores, which is what the sample is for.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eval.cells import difference, interval
from eval.printed import RESULTS, last_run
from eval.retrieval.run import search
from eval.retrieval.sets import SUITES, Suite, index_of, questions_of
from ragkit.evaluation.metrics import evaluate_run
from ragkit.evaluation.statistics import compare, estimate
from ragkit.retrieval.reranking import DEPTH, PACKAGED, load_reranker

MEASURES = ["nDCG@10", "RR@10", "Success@1", "Success@5"]
BARS = {"scifact": 0.73, "selqa": 0.94, "clapnq": 0.98, "fairytaleqa": 0.66}
ABOVE_THE_BETTER_SIDE = {"medquad": 0.03, "squad": 0.03}
"""What the default pipeline is to reach in nDCG@10: a number, or so much above dense and lexical."""


def measure(suite: Suite, options: argparse.Namespace) -> dict[str, Any]:
    reranker = load_reranker(options.reranker, options.depth)
    index = index_of(suite, options.data, options.indexes)
    questions = questions_of(suite, suite.test, options.data, options.sample)
    qrels = {question.id: question.relevant for question in questions}
    modes = ("dense", "lexical", "hybrid") if suite.name in ABOVE_THE_BETTER_SIDE else ("hybrid",)
    runs, rates = {}, {}
    for mode in modes:
        runs[mode], rates[mode] = search(index, questions, mode)  # type: ignore[arg-type]
    index.reranker = reranker
    runs["reranked"], rates["reranked"] = search(index, questions, "hybrid")
    values = {name: evaluate_run(run, qrels, MEASURES) for name, run in runs.items()}
    sides = [values[mode]["nDCG@10"].mean() for mode in modes if mode != "hybrid"]
    bar = max(sides) + ABOVE_THE_BETTER_SIDE[suite.name] if sides else BARS[suite.name]
    return {
        "title": f"{suite.title} {suite.test}",
        "questions": len(questions),
        "systems": {
            name: {m: asdict(estimate(v)) for m, v in of_system.items()} for name, of_system in values.items()
        },
        "reranked_against_hybrid": {
            name: asdict(compare(name, values["hybrid"][name], values["reranked"][name])) for name in MEASURES
        },
        "bar": float(bar),
        "questions_a_second": rates,
    }


def report(results: dict[str, Any]) -> str:
    lines = [
        "# Hybrid and reranker",
        "",
        "`python -m eval.retrieval.rerank --data DATA`: the default hybrid, and its best "
        f"{DEPTH} passages read again by the packaged reranker; one setting for all sets. nDCG@10 with 95 % "
        "bootstrap intervals over questions; difference and p are paired (randomisation test). Bar: what the "
        "default pipeline is to reach; of MedQuAD and SQuAD .03 above the better of dense and lexical.",
        "",
        "| set | questions | hybrid | hybrid + reranker | difference | p | better/equal/worse | bar |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in results.values():
        versus = one["reranked_against_hybrid"]["nDCG@10"]
        before, after = (one["systems"][name]["nDCG@10"] for name in ("hybrid", "reranked"))
        reached = "reached" if after["mean"] >= one["bar"] else f"missed by {one['bar'] - after['mean']:.3f}"
        lines.append(
            f"| {one['title']} | {one['questions']:,} | {interval(before)} | {interval(after)} "
            f"| {difference(versus)} | {versus['p']:.4f} "
            f"| {versus['wins']:,}/{versus['ties']:,}/{versus['losses']:,} | {one['bar']:.3f}: {reached} |"
        )
    lines += ["", "| set | system | " + " | ".join(MEASURES[1:]) + " | questions/s |"]
    lines += ["| --- | --- |" + " ---: |" * len(MEASURES)]
    for one in results.values():
        for name in ("hybrid", "reranked"):
            cells = " | ".join(f"{one['systems'][name][measure]['mean']:.3f}" for measure in MEASURES[1:])
            rate = one["questions_a_second"][name]
            lines.append(f"| {one['title']} | {name} | {cells} | {rate:.1f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the retrieval sets")
    parser.add_argument("--indexes", type=Path, default=Path("runs/indexes"))
    parser.add_argument("--sets", nargs="+", choices=list(SUITES), default=list(SUITES))
    parser.add_argument("--reranker", default=PACKAGED, help="packaged, or a folder")
    parser.add_argument("--depth", type=int, default=DEPTH, help="passages that are read")
    parser.add_argument("--sample", type=int, default=300, help="questions of a set at most")
    options = parser.parse_args()
    kept = RESULTS / "rerank.json"
    for name in options.sets:
        measured = measure(SUITES[name], options)
        results = last_run(kept)
        results[name] = measured
        results = {name: results[name] for name in SUITES if name in results}
        kept.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        (RESULTS / "rerank.md").write_text(report(results), encoding="utf-8")
        print(f"\n{report(results)}")


if __name__ == "__main__":
    main()
