"""Confidence against the highest retrieval score, on questions half of which have no answer.

    python -m eval.abstention.run --data DATA [--systems reader generator]

SQuAD v2.0 dev, each question with its own paragraph, whose score is the encoder's similarity; CLAPNQ, five
passages that the default retrieval finds. By the calibrations that come with the answerers, fitted to SQuAD's
training split. Two labels: whether the question has an answer at all, and whether the answer given is right
(no answer to a question without one is). Writes eval/results/abstention.json, .md and .png; systems not asked
for keep what the last run printed.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from eval import cells
from eval.abstention.answering import SYSTEMS, Record, answered, answerer_of
from eval.abstention.questions import Asked, clapnq, squad_2
from eval.printed import RESULTS, last_run
from eval.retrieval.sets import SUITES, index_of
from ragkit.corpus.questions import Question
from ragkit.errors import RagkitError
from ragkit.evaluation.abstention import auroc, calibration_error, interval, risk_coverage
from ragkit.evaluation.answers import answer_in_text
from ragkit.evaluation.calibration import is_right
from ragkit.evaluation.report import markdown
from ragkit.generation.answer import Answer
from ragkit.generation.confidence import Calibration, calibration_of

BAR = 0.05
LABELS = ("has an answer", "answer is right")
RISK = 0.2


def is_right_or_quoted(answer: Answer, question: Question) -> bool:
    """CLAPNQ's answers are sentences: a short answer is right if they hold it word for word, too."""
    quoted = bool(question.answers) and answer_in_text([answer.text], " ".join(question.answers))
    return quoted or is_right(answer, question)


def measured(records: Sequence[Record], calibration: Calibration) -> dict[str, Any]:
    features = np.array([record.graded.features for record in records])
    confidence = calibration.probability(features)
    score = np.array([record.score for record in records])
    labels = {
        LABELS[0]: np.array([record.answerable for record in records]),
        LABELS[1]: np.array([record.right for record in records]),
    }
    right = labels[LABELS[1]]
    curve, of_score = risk_coverage(confidence, right), risk_coverage(score, right)
    try:
        given = confidence >= calibration.threshold(RISK)
        promised = {"coverage": float(given.mean()), "risk": float((~right[given]).mean())}
    except RagkitError:
        promised = None
    return {
        "questions": len(records),
        "labels": {
            label: {
                "share": float(of.mean()),
                "confidence": asdict(interval(auroc, confidence, of)),
                "score": asdict(interval(auroc, score, of)),
                "gain": asdict(interval(lambda a, b, x: auroc(a, x) - auroc(b, x), confidence, score, of)),
            }
            for label, of in labels.items()
        },
        "ece": calibration_error(confidence, right),
        "aurc": curve.area,
        "aurc_of_score": of_score.area,
        "promised": promised,
        "curve": [curve.coverage.round(4).tolist(), curve.risk.round(4).tolist()],
        "curve_of_score": [of_score.coverage.round(4).tolist(), of_score.risk.round(4).tolist()],
    }


def report(results: dict[str, Any]) -> str:
    rows, more = [], []
    for name, one in results.items():
        for label, of in one["labels"].items():
            gain = of["gain"]
            reached = "reached" if gain["mean"] >= BAR else f"missed by {BAR - gain['mean']:.3f}"
            shown = [cells.interval(of[key]) for key in ("confidence", "score", "gain")]
            rows.append([name, f"{one['questions']:,}", label, f"{of['share']:.3f}", *shown, reached])
        promised = one["promised"]
        kept = f"{promised['coverage']:.2f}, {promised['risk']:.3f}" if promised else "not promised"
        more.append([name, f"{one['ece']:.3f}", f"{one['aurc']:.3f}", f"{one['aurc_of_score']:.3f}", kept])
    head = ["set, system", "questions", "label", "share", "AUROC, confidence", "AUROC, score", "gain"]
    promise = f"coverage, risk at --max-risk {RISK}"
    return (
        "# When not to answer\n\n"
        "`python -m eval.abstention.run --data DATA`: calibrations fitted on SQuAD's training split; 95 % "
        "bootstrap intervals, paired for the gain over the highest retrieval score.\n\n"
        + markdown([*head, f"bar {BAR}"], rows)
        + "\n\nOf the answers: calibration error, area under risk-coverage (lower is better), and what a "
        "promised risk came to.\n\n"
        + markdown(["set, system", "ECE", "AURC", "AURC of the score", promise], more)
        + "\n\n![risk and coverage](abstention.png)\n"
    )


def draw(results: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(results), figsize=(4.2 * len(results), 3.6), squeeze=False)
    for axis, (name, one) in zip(axes[0], results.items(), strict=True):
        axis.plot(*one["curve"], label="calibrated confidence")
        axis.plot(*one["curve_of_score"], label="highest retrieval score", linestyle="--")
        axis.set(title=name, xlabel="coverage", ylabel="risk", xlim=(0, 1), ylim=(0, 1))
        axis.grid(alpha=0.3)
    axes[0][0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of data sets")
    parser.add_argument("--indexes", type=Path, default=Path("runs/indexes"))
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--questions", type=int, default=2000, help="of SQuAD v2.0 dev, evenly spread")
    options = parser.parse_args()
    kept = RESULTS / "abstention.json"
    results = last_run(kept)
    squad = index_of(SUITES["squad"], options.data, options.indexes)
    clap = index_of(SUITES["clapnq"], options.data, options.indexes)
    sets: dict[str, list[Asked]] = {
        "SQuAD v2.0 dev": squad_2(options.data, squad, options.questions),
        "CLAPNQ": clapnq(options.data, options.indexes),
    }
    for system in options.systems:
        for title, asked in sets.items():
            given = title.startswith("SQuAD")
            answerer = answerer_of(system, None, 1) if given else answerer_of(system, clap)
            calibration = calibration_of(answerer.config)
            if calibration is None:
                raise RagkitError(f"no calibration for the {system}: run eval.abstention.fit first")
            file = f"run.{title.split()[0].lower()}.{system}.{len(asked)}.jsonl"
            right = is_right if given else is_right_or_quoted
            records = answered(answerer, asked, options.indexes.parent / "abstention" / file, right)
            results[f"{title}, {system}"] = measured(records, calibration)
            kept.write_text(json.dumps(results) + "\n", encoding="utf-8")
    (RESULTS / "abstention.md").write_text(report(results), encoding="utf-8")
    draw(results, RESULTS / "abstention.png")
    print(report(results))


if __name__ == "__main__":
    main()
