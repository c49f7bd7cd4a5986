"""The results of `eval.qa.run` as Markdown tables."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ragkit.evaluation.report import markdown

SUITES = {
    "gold": "With the gold paragraph",
    "open": "Over all 20,958 paragraphs, found by the default retrieval",
}
SYSTEMS = {"reader": "extractive reader", "generator": "generator, RAG-Sequence"}


def write_report(results: dict[str, Any], folder: Path) -> str:
    """Writes qa.md and returns it."""
    text = "\n".join(_sections(results))
    (folder / "qa.md").write_text(text, encoding="utf-8")
    return text


def _sections(results: dict[str, Any]) -> Iterator[str]:
    yield "# Answers: SQuAD v1.1 dev\n"
    yield (
        "`python -m eval.qa.run --data DATA`; packaged reader and generator, the exact index of the "
        "retrieval suites. EM and F1 in percent, in brackets the 95 % bootstrap interval over questions. "
        "Every question has an answer, so neither may leave one without. `Success@k`: the gold paragraph is "
        "among the k that were read.\n"
    )
    for suite, title in SUITES.items():
        found = {name: results[suite][name] for name in SYSTEMS if name in results.get(suite, {})}
        if not found:
            continue
        yield f"## {title}\n"
        measures = list(dict.fromkeys(name for one in found.values() for name in one["measures"]))
        yield markdown(
            ["system", "questions", *measures, "questions/s"],
            [
                [SYSTEMS[name], _questions(one)]
                + [_percent(one["measures"][measure]) for measure in measures]
                + [f"{one['questions'] / max(one['seconds'], 0.1):.1f}"]
                for name, one in found.items()
            ],
        )
        if suite == "open":
            yield "Where the wrong answers (EM 0) come from, in percent of all questions:\n"
            kinds = [
                kind for kind in next(iter(found.values()))["misses"] if kind != "answered without a basis"
            ]
            yield markdown(
                ["system", *kinds],
                [
                    [
                        SYSTEMS[name],
                        *(f"{100 * one['misses'][kind] / one['questions']:.1f}" for kind in kinds),
                    ]
                    for name, one in found.items()
                ],
            )


def _questions(one: dict[str, Any]) -> str:
    drawn = one["questions"] < one["of"]
    return f"{one['questions']:,} of {one['of']:,}" if drawn else f"{one['questions']:,}"


def _percent(estimate: dict[str, float]) -> str:
    mean, low, high = (100 * estimate[key] for key in ("mean", "low", "high"))
    return f"{mean:.1f} [{low:.1f}, {high:.1f}]"
