"""Reports as JSON, Markdown and a picture; and two reports against each other."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ragkit.errors import RagkitError
from ragkit.evaluation.qa import QaReport
from ragkit.evaluation.retrieval import Costs, RetrievalReport
from ragkit.evaluation.statistics import Comparison, compare

Report = RetrievalReport | QaReport


def to_json(report: Report) -> dict[str, Any]:
    """All of a report but the run itself, each question's values included, so that two can be compared."""
    content: dict[str, Any] = {
        "kind": "retrieval" if isinstance(report, RetrievalReport) else "qa",
        "name": report.name,
        "dataset": report.dataset,
        "split": report.split,
        "config": report.config,
        "measures": {name: asdict(value) for name, value in report.measures.items()},
        "questions": report.questions,
        "values": report.values,
    }
    if isinstance(report, RetrievalReport):
        content["costs"] = asdict(report.costs) if report.costs else None
    else:
        content["misses"] = dict(report.misses)
        content["seconds"] = report.seconds
        content["records"] = [record.to_json() for record in report.records]
    return content


def write_json(report: Report, path: Path) -> None:
    """Raises RagkitError where the file cannot be written."""
    _write(path, json.dumps(to_json(report), ensure_ascii=False, indent=1) + "\n")


def write_records(report: QaReport, path: Path) -> None:
    """Every question with its answer and verdict, a JSON object a line.

    Raises RagkitError where the file cannot be written.
    """
    lines = [json.dumps(record.to_json(), ensure_ascii=False) + "\n" for record in report.records]
    _write(path, "".join(lines))


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RagkitError(f"{path} cannot be written: {error.strerror or error}") from error


def retrieval_table(reports: Sequence[RetrievalReport], measures: Sequence[str] | None = None) -> str:
    """Markdown: a column a report; accuracy with its intervals, then speed, memory and build time."""
    names = list(measures or reports[0].measures)
    rows = [[name, *(str(report.measures[name]) for report in reports)] for name in names]
    if any(report.costs for report in reports):
        shown = [_costs(report.costs) if report.costs else {} for report in reports]
        rows += [[name, *(costs.get(name, "") for costs in shown)] for name in max(shown, key=len)]
    return markdown(["", *(report.name for report in reports)], rows)


def _costs(costs: Costs) -> dict[str, str]:
    return {
        "questions/s": f"{costs.questions_per_second:.0f}",
        "latency p50, ms": f"{costs.p50_ms:.1f}",
        "latency p95, ms": f"{costs.p95_ms:.1f}",
        "index, MB": f"{costs.index_bytes / 1e6:.1f}",
        "bytes/vector": f"{costs.bytes_a_vector:.0f}",
        "peak memory, MB": f"{costs.peak_memory_bytes / 1e6:.0f}",
        "build, s": f"{costs.build_seconds:.1f}",
    }


def qa_table(reports: Sequence[QaReport]) -> str:
    """Markdown: a row a report, EM, F1 and Success@k with intervals, then where the misses happened."""
    names = list(dict.fromkeys(name for report in reports for name in report.measures))
    rows = [
        [
            report.name,
            *(str(report.measures[name]) if name in report.measures else "" for name in names),
            f"{len(report.records) / max(report.seconds, 1e-9):.1f}",
        ]
        for report in reports
    ]
    misses = [
        [report.name, *(str(count) for count in report.misses.values()), str(len(report.records))]
        for report in reports
    ]
    head = ["system", *(list(reports[0].misses)), "questions"]
    return f"{markdown(['system', *names, 'questions/s'], rows)}\n{markdown(head, misses)}"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with columns padded to equal width."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    text = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
            for line in lines]  # fmt: skip
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text) + "\n"


def draw_recall(reports: Sequence[RetrievalReport], path: Path) -> None:
    """Draws R@k over k with its 95 % intervals, a line a report, as PNG (or what the ending says).

    Raises RagkitError where the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), dpi=150, layout="constrained")
    axes = figure.subplots()
    for at, report in enumerate(reports):
        estimates = [report.measures[f"R@{k}"] for k in report.ks]
        means = np.array([estimate.mean for estimate in estimates])
        spread = [means - [e.low for e in estimates], [e.high for e in estimates] - means]
        # A little apart, so that the intervals of systems that are equal stay readable.
        places = np.array(report.ks) * 1.05 ** (at - (len(reports) - 1) / 2)
        axes.errorbar(places, means, yerr=np.maximum(spread, 0), label=report.name, marker="o", capsize=3)
    first = reports[0]
    axes.set_xscale("log")
    axes.set_xticks(first.ks, [str(k) for k in first.ks])
    axes.minorticks_off()
    axes.set_xlabel("k (passages retrieved)")
    axes.set_ylabel("recall@k")
    axes.set_title(f"{first.dataset}, {first.split}: {len(first.questions)} questions, 95 % intervals")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise RagkitError(f"{path} cannot be drawn: {error}") from error


def read_values(path: Path) -> tuple[str, list[str], dict[str, list[float]]]:
    """(name, questions, values by measure) of a report written by `write_json`.

    Raises RagkitError where the file is not one.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        values = {str(name): [float(x) for x in column] for name, column in content["values"].items()}
        questions = [str(question) for question in content["questions"]]
        if not all(len(column) == len(questions) for column in values.values()):
            raise ValueError("columns of different length")
        return str(content["name"]), questions, values
    except FileNotFoundError as error:
        raise RagkitError(f"{path}: no such file") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RagkitError(f"{path} is not a report of `ragkit eval ... --out`: {error}") from error


def compare_values(
    a: tuple[Sequence[str], dict[str, list[float]]],
    b: tuple[Sequence[str], dict[str, list[float]]],
    measures: Sequence[str] | None = None,
) -> tuple[list[Comparison], dict[str, list[tuple[str, float, float]]]]:
    """Compares two systems on the questions that both answered.

    Each side is (questions, values by measure). Returns a comparison a measure, and by measure the
    questions that changed: (id, value of a, value of b), largest change first.

    Raises RagkitError where they share no question or lack a measure.
    """
    at_a, at_b = ({question: at for at, question in enumerate(side[0])} for side in (a, b))
    shared = [question for question in a[0] if question in at_b]
    if not shared:
        raise RagkitError("the two have no question in common: compare systems on the same question set")
    names = list(measures or [name for name in a[1] if name in b[1]])
    missing = [name for name in names if name not in a[1] or name not in b[1]]
    if missing or not names:
        raise RagkitError(
            f"the two do not both have {', '.join(missing) or 'a measure in common'}: "
            f"A has {', '.join(a[1])}; B has {', '.join(b[1])}"
        )
    comparisons, changed = [], {}
    for name in names:
        of_a = np.array([a[1][name][at_a[question]] for question in shared])
        of_b = np.array([b[1][name][at_b[question]] for question in shared])
        comparisons.append(compare(name, of_a, of_b))
        order = np.argsort(-np.abs(of_b - of_a), kind="stable")
        changed[name] = [
            (shared[at], float(of_a[at]), float(of_b[at])) for at in order if of_a[at] != of_b[at]
        ]
    return comparisons, changed
