"""Adapting without labels: each method from the packaged encoder, at equal steps, judged by real questions.

    python -m eval.training.adapt --data DATA [--set selqa ...] [--steps 50]

Adapts to a set's passages alone, builds the index anew where the passages' vectors changed, and asks the
questions of the test split by dense search. Beside the real gain stands what the self-test of `ragkit adapt`
said. Nothing is chosen by these numbers. Writes eval/results/adapt.json and .md (sets not asked for keep
what the last run printed). A run that was stopped goes on where it was.
"""

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from eval.cells import tested
from eval.retrieval.run import search
from eval.retrieval.sets import SUITES, index_of, questions_of
from eval.training.dual_encoder import index_with
from ragkit.encoders.loading import load_encoder
from ragkit.evaluation.metrics import evaluate_run
from ragkit.evaluation.report import markdown
from ragkit.evaluation.statistics import compare
from ragkit.training.adaptation.adapt import AdaptSettings, adapt

RESULTS = Path(__file__).resolve().parents[1] / "results"
SETS = ("fairytaleqa", "medquad", "scifact", "selqa", "clapnq")
SYSTEMS = {
    "ict": AdaptSettings(method="ict"),
    "crop": AdaptSettings(method="crop"),
    "simcse": AdaptSettings(method="simcse"),
    "tsdae": AdaptSettings(method="tsdae"),
    "ict, frozen passages": AdaptSettings(method="ict", frozen_passages=True),
    "crop, frozen passages": AdaptSettings(method="crop", frozen_passages=True),
}
MEASURE = "nDCG@10"


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    suite = SUITES[name]
    index = index_of(suite, options.data, options.indexes)
    questions = questions_of(suite, suite.test, options.data, options.questions)
    qrels = {question.id: question.relevant for question in questions}
    before = evaluate_run(search(index, questions, "dense")[0], qrels, [MEASURE])[MEASURE]
    rows = {}
    for system, plain in SYSTEMS.items():
        settings = replace(
            plain, max_steps=options.steps, batch=options.batch, keep=options.keep, pool=options.pool
        )
        out = options.out / f"{name}-{system.replace(', ', '-').replace(' ', '-')}"
        report = adapt(index.path, out, settings, _show)
        adapted = index_with(load_encoder(report.model), suite, options.data, options.indexes)
        after = evaluate_run(search(adapted, questions, "dense")[0], qrels, [MEASURE])[MEASURE]
        rows[system] = {
            "real": asdict(compare(MEASURE, before, after)),
            "self_test": asdict(report.comparisons[0]),
            "steps": report.steps,
            "seconds": report.seconds,
        }
        print(f"\n{name}, {system}: {report.verdict}", file=sys.stderr)
    return {
        "title": f"{suite.title} {suite.test}",
        "passages": len(index),
        "questions": len(questions),
        "settings": {"steps": options.steps, "batch": options.batch, "keep": options.keep},
        "systems": rows,
    }


def _show(event: dict[str, Any]) -> None:
    if event["event"] == "step":
        print(
            f"\rstep {event['step']}/{event['total']}, loss {event['loss']:.3f}   ", end="", file=sys.stderr
        )


def report(results: dict[str, Any]) -> str:
    rows = [
        [
            f"{one['title']} ({one['questions']:,} questions, {one['passages']:,} passages)",
            system,
            str(of["steps"]),
            f"{of['real']['a']:.3f}",
            f"{of['real']['b']:.3f}",
            tested(of["real"]),
            tested(of["self_test"]),
            f"{of['seconds']:.0f}",
        ]
        for one in results.values()
        for system, of in one["systems"].items()
    ]
    used = {json.dumps(one["settings"]): one["settings"] for one in results.values()}
    how = "; ".join(f"--steps {s['steps']} --batch {s['batch']} --keep {s['keep']}" for s in used.values())
    head = [
        "set",
        "method",
        "steps",
        f"{MEASURE} before",
        "after",
        "difference",
        "self-test, RR@10",
        "seconds",
    ]
    return (
        "# Adapting without labels\n\n"
        f"`python -m eval.training.adapt --data DATA --set {' '.join(results)}` ({how}). From the packaged "
        "encoder, on the set's passages alone; real questions of the test split, dense search over all "
        "passages. The self-test is what `ragkit adapt` sees: questions made up of passages held out. 95 % "
        "bootstrap intervals of paired differences, p of the paired randomisation test; seconds of training "
        f"and self-test.\n\n{markdown(head, rows)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the retrieval sets")
    parser.add_argument("--indexes", type=Path, default=Path("runs/indexes"))
    parser.add_argument("--out", type=Path, default=Path("runs/adapt"))
    parser.add_argument("--set", nargs="+", choices=SETS, default=["selqa"])
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--keep", type=float, default=0.0, help="share of the starting weights in the result")
    parser.add_argument("--questions", type=int, default=1000, help="of the test split, at most")
    parser.add_argument("--pool", type=int, default=600, help="passages of the self-test")
    options = parser.parse_args()
    kept = RESULTS / "adapt.json"
    for name in options.set:
        measured = measure(name, options)
        results = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
        results[name] = measured
        results = {key: results[key] for key in SETS if key in results}
        kept.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        text = report(results)
        (RESULTS / "adapt.md").write_text(text, encoding="utf-8")
        print(f"\n{text}")


if __name__ == "__main__":
    main()
