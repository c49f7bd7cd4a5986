"""Fits the calibrations that come with the packaged answerers, on SQuAD's training split.

    python -m eval.abstention.fit --data DATA

Questions are about the articles that neither answerer learnt from (`questions.held_out`), each asked twice:
with what holds its answer and with what does not. Two calibrations an answerer: of one paragraph that is
given, and of five that the default retrieval finds. Writes ragkit/weights/SYSTEM/confidence.json and
eval/results/abstention_fit.md.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from eval.abstention.answering import answered, answerer_of
from eval.abstention.questions import SETTINGS
from eval.retrieval.sets import SUITES, index_of
from ragkit.evaluation.calibration import CalibrationReport, calibrate
from ragkit.evaluation.report import markdown
from ragkit.generation.confidence import FEATURES, FILE, WEIGHTS, Calibration, write_calibrations

TABLE = Path(__file__).resolve().parents[1] / "results" / "abstention_fit.md"
RISKS = (0.1, 0.2, 0.3)
QUESTIONS = {"reader": 600, "generator": 150}
"""Each asked twice. The generator takes ten times as long."""


def row_of(system: str, setting: str, report: CalibrationReport) -> list[str]:
    fitted = report.to_json()
    coverage = fitted["coverage_at_risk"]
    return [
        system,
        setting,
        f"{len(report.right):,}",
        f"{report.right.mean():.3f}",
        str(report.auroc),
        str(report.auroc_of_score),
        f"{report.calibration_error:.3f}",
        *(f"{coverage[str(risk)]:.2f}" for risk in RISKS),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of data sets")
    parser.add_argument("--indexes", type=Path, default=Path("runs/indexes"))
    options = parser.parse_args()
    index = index_of(SUITES["squad"], options.data, options.indexes)
    rows, weights = [], []
    for system, count in QUESTIONS.items():
        calibrations: list[Calibration] = []
        for setting, collect in SETTINGS.items():
            answerer = answerer_of(system, None, 1) if setting == "given" else answerer_of(system, index)
            asked = collect(options.data, index, count)
            kept = options.indexes.parent / "abstention" / f"fit.{setting}.{system}.{count}.jsonl"
            found = [record for record in answered(answerer, asked, kept) if record.answer]
            records = [replace(record.graded, best_score=record.score) for record in found]
            name = f"SQuAD train, {count} held-out questions, {setting}"
            report = calibrate(records, answerer.config, name)
            calibrations.append(report.calibration)
            rows.append(row_of(system, setting, report))
            numbers = zip(FEATURES, report.calibration.weights, strict=True)
            weights.append([system, setting, *(f"{weight:+.2f}" for _, weight in numbers)])
        write_calibrations(WEIGHTS / system / FILE, calibrations)
    head = ["system", "passages", "answers", "right", "AUROC", "AUROC of the score", "ECE"]
    table = markdown([*head, *(f"coverage at risk {risk}" for risk in RISKS)], rows)
    parts = markdown(["system", "passages", *(name.replace("|", "\\|") for name in FEATURES)], weights)
    TABLE.write_text(
        "# The calibrations that come with the answerers\n\n"
        "`python -m eval.abstention.fit --data DATA`: questions left out of the fit by cross-validation, "
        "half of them without an answer in what was read.\n\n"
        f"{table}\n\nWeights of the standardised features:\n\n{parts}\n",
        encoding="utf-8",
    )
    print(table, parts, sep="\n\n")


if __name__ == "__main__":
    main()
