"""Adapting without labels: each method from the packaged encoder, at equal steps, judged by real questions.

    python -m eval.training.adapt --data DATA [--set squad ...] [--steps 50] [--systems crop "crop, byol"]

Adapts to a set's passages alone, and asks the questions of the test split by exact dense search among
`--candidates` passages, the relevant ones of all questions with others drawn at random. Beside the real gain
stands what the self-test of `ragkit adapt` said, and what the training did to the vectors (alignment of
questions with their passages, uniformity of passages; Wang and Isola 2020; lower is better). Nothing is
chosen by these numbers. Writes eval/results/adapt.json and .md (sets not asked for keep what the last run
printed). A run that was stopped goes on where it was.
"""

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eval.cells import tested
from eval.printed import RESULTS, last_run
from eval.retrieval.sets import SUITES, index_of, questions_of
from ragkit.corpus.questions import Question
from ragkit.encoders.encoder import Encoder
from ragkit.encoders.loading import load_encoder
from ragkit.evaluation.metrics import Values, evaluate_run
from ragkit.evaluation.report import markdown
from ragkit.evaluation.statistics import compare
from ragkit.models.selfsup.alignment_uniformity import alignment, uniformity
from ragkit.retrieval.index import Index
from ragkit.training.adaptation.adapt import AdaptSettings, adapt

SETS = ("squad", "fairytaleqa", "medquad", "scifact", "selqa", "clapnq")
SYSTEMS = {
    "ict": AdaptSettings(method="ict"),
    "crop": AdaptSettings(method="crop"),
    "deletion": AdaptSettings(method="deletion"),
    "simcse": AdaptSettings(method="simcse"),
    "tsdae": AdaptSettings(method="tsdae"),
    "crop, nt-xent": AdaptSettings(method="crop", loss="nt-xent"),
    "crop, barlow-twins": AdaptSettings(method="crop", loss="barlow-twins"),
    "crop, byol": AdaptSettings(method="crop", loss="byol"),
    "ict, frozen passages": AdaptSettings(method="ict", frozen_passages=True),
    "crop, frozen passages": AdaptSettings(method="crop", frozen_passages=True),
}
MEASURE = "nDCG@10"
ASKED = ("steps", "batch", "keep", "questions", "candidates", "pool")
"""Options that a table names."""
BEST, PAIRS = 10, 1000
"""Passages of a ranking, and those whose uniformity is measured."""


class Searched:
    """Questions of a set, the passages that they are asked among, and what an encoder makes of them."""

    def __init__(self, index: Index, questions: list[Question], candidates: int) -> None:
        self.questions = questions
        rows = index.rows_by_id()
        relevant = dict.fromkeys(row for q in questions for one in q.relevant for row in rows.get(one, []))
        others = np.random.default_rng(0).permutation(len(index)).tolist()
        chosen = list(dict.fromkeys([*relevant, *others]))[: max(candidates, len(relevant))]
        self.passages = index.passages(np.array(sorted(chosen)))
        self._at = {passage.id: at for at, passage in enumerate(self.passages)}

    def measured(self, encoder: Encoder) -> tuple[Values, float, float]:
        """`MEASURE` of each question, alignment and uniformity."""
        asked = encoder.encode_questions([question.text for question in self.questions])
        held = encoder.encode_passages([(passage.title, passage.text) for passage in self.passages])
        scores = asked @ held.T
        best = np.argsort(-scores, axis=1)[:, :BEST]
        run = {
            q.id: {self.passages[at].id: float(scores[row, at]) for at in best[row]}
            for row, q in enumerate(self.questions)
        }
        values = evaluate_run(run, {q.id: q.relevant for q in self.questions}, [MEASURE])[MEASURE]
        pairs = [(row, self._at[one]) for row, q in enumerate(self.questions) for one in q.relevant]
        ours, theirs = (torch.from_numpy(x).float() for x in (asked, held))
        apart = alignment(
            *(_unit(x[list(at)]) for x, at in zip((ours, theirs), zip(*pairs, strict=True), strict=True))
        )
        return values, apart.item(), uniformity(_unit(theirs[:PAIRS])).item()


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(vectors, dim=1)


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    suite = SUITES[name]
    index = index_of(suite, options.data, options.indexes)
    questions = questions_of(suite, suite.test, options.data, options.questions)
    searched = Searched(index, questions, options.candidates)
    before, *start = searched.measured(index.encoder)
    rows = {}
    for system in options.systems:
        settings = replace(
            SYSTEMS[system],
            max_steps=options.steps,
            batch=options.batch,
            keep=options.keep,
            pool=options.pool,
        )
        out = options.out / f"{name}-{system.replace(', ', '-').replace(' ', '-')}"
        report = adapt(index.path, out, settings, _show)
        after, *vectors = searched.measured(load_encoder(report.model))
        rows[system] = {
            "real": asdict(compare(MEASURE, before, after)),
            "self_test": asdict(report.comparisons[0]),
            "alignment": vectors[0],
            "uniformity": vectors[1],
            "steps": report.steps,
            "seconds": report.seconds,
        }
        print(f"\n{name}, {system}: {report.verdict}", file=sys.stderr)
    return {
        "title": f"{suite.title} {suite.test}",
        "passages": len(searched.passages),
        "questions": len(questions),
        "start": start,
        "settings": {name: getattr(options, name) for name in ASKED},
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
            f"{of['alignment']:.2f} ({one['start'][0]:.2f})",
            f"{of['uniformity']:.2f} ({one['start'][1]:.2f})",
            f"{of['seconds']:.0f}",
        ]
        for one in results.values()
        for system, of in one["systems"].items()
    ]
    used = {json.dumps(one["settings"]): one["settings"] for one in results.values()}
    how = "; ".join(" ".join(f"--{name} {value}" for name, value in s.items()) for s in used.values())
    head = [
        "set",
        "method",
        "steps",
        f"{MEASURE} before",
        "after",
        "difference",
        "self-test, RR@10",
        "alignment (start)",
        "uniformity (start)",
        "seconds",
    ]
    return (
        "# Adapting without labels\n\n"
        f"`python -m eval.training.adapt --data DATA --set {' '.join(results)}` ({how}). From the packaged "
        "encoder, on the set's passages alone; real questions of the test split, exact dense search among "
        "as many passages as are named. The self-test is what `ragkit adapt` sees: questions made up of "
        "passages held out. Alignment of questions with their passages and uniformity of passages: the lower "
        "the better. 95 % bootstrap intervals of paired differences, p of the paired randomisation test; "
        "seconds of training "
        f"and self-test.\n\n{markdown(head, rows)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the retrieval sets")
    parser.add_argument("--indexes", type=Path, default=Path("runs/indexes"))
    parser.add_argument("--out", type=Path, default=Path("runs/adapt"))
    parser.add_argument("--set", nargs="+", choices=SETS, default=["squad"])
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--keep", type=float, default=0.0, help="share of the starting weights in the result")
    parser.add_argument("--questions", type=int, default=1000, help="of the test split, at most")
    parser.add_argument(
        "--candidates", type=int, default=3000, help="passages that questions are asked among"
    )
    parser.add_argument("--pool", type=int, default=600, help="passages of the self-test")
    options = parser.parse_args()
    kept = RESULTS / "adapt.json"
    for name in options.set:
        measured = measure(name, options)
        results = last_run(kept)
        results[name] = measured
        results = {key: results[key] for key in SETS if key in results}
        kept.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        text = report(results)
        (RESULTS / "adapt.md").write_text(text, encoding="utf-8")
        print(f"\n{text}")


if __name__ == "__main__":
    main()
