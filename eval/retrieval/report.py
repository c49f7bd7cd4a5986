"""The results of `eval.retrieval.run` as Markdown tables and a picture."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from eval.cells import difference, interval

SYSTEMS = {"dense": "dense", "lexical": "lexical", "hybrid": "hybrid (default)", "rrf": "RRF, k = 60 (peer)"}
COLOURS = {"dense": "#4c72b0", "lexical": "#dd8452", "hybrid": "#2f9e44", "rrf": "#b0b0b0"}
RECALLS = ["R@5", "R@20", "R@100", "Success@1", "Success@5", "RR@10"]


def write_report(results: dict[str, Any], folder: Path) -> str:
    """Writes retrieval.md and retrieval.png and returns the Markdown."""
    text = "\n\n".join(_sections(results)) + "\n"
    (folder / "retrieval.md").write_text(text, encoding="utf-8")
    _draw(results, folder / "retrieval.png")
    return text


def _sections(results: dict[str, Any]) -> Iterable[str]:
    yield "# Retrieval: dense, lexical, hybrid"
    yield (
        "`python -m eval.retrieval.run --data DATA`; SQuAD with all its dev questions: "
        "`--sets squad --all-questions`. Packaged encoder, exact index, BM25 with English stemming and stop "
        "words; one setting of the hybrid for all sets, fitted on training splits only (`fusion.md`; CLAPNQ "
        "has none). In brackets the 95 % bootstrap interval over questions."
    )
    yield "## nDCG@10"
    yield _table(
        ["set", "passages", "questions", *SYSTEMS.values(), "hybrid minus the better side"],
        (
            [one["title"], f"{one['passages']:,}", _questions(one)]
            + [interval(one["systems"][name]["nDCG@10"]) for name in SYSTEMS]
            + [difference(one["hybrid_against"][one["better"]]) + f" ({one['better']})"]
            for one in results.values()
        ),
    )
    yield from (f"{one['title']}: {one['note']}." for one in results.values() if one["note"])
    yield "![nDCG@10 by set and system](retrieval.png)"
    yield "## Other measures"
    yield _table(
        ["set", "system", *RECALLS],
        (
            [one["title"] if name == "dense" else "", label]
            + [f"{one['systems'][name][measure]['mean']:.3f}" for measure in RECALLS]
            for one in results.values()
            for name, label in SYSTEMS.items()
        ),
    )
    yield "## Hybrid against reciprocal rank fusion"
    yield "nDCG@10, paired randomisation test."
    yield _table(
        ["set", "difference", "p", "better", "equal", "worse"],
        (
            [one["title"], difference(versus), f"{versus['p']:.4f}"]
            + [f"{versus[count]:,}" for count in ("wins", "ties", "losses")]
            for one in results.values()
            for versus in [one["hybrid_against"]["rrf"]]
        ),
    )


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _questions(one: dict[str, Any]) -> str:
    drawn = one["questions"] < one["of"]
    return f"{one['questions']:,} of {one['of']:,}" if drawn else f"{one['questions']:,}"


def _draw(results: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(1.4 * len(results) + 4, 3.8), layout="constrained")
    for i, (name, label) in enumerate(SYSTEMS.items()):
        estimates = [one["systems"][name]["nDCG@10"] for one in results.values()]
        means = [e["mean"] for e in estimates]
        errors = [[m - e["low"] for m, e in zip(means, estimates, strict=True)]]
        errors.append([e["high"] - m for m, e in zip(means, estimates, strict=True)])
        places = [at + (i - 1.5) * 0.2 for at in range(len(results))]
        axes.bar(places, means, 0.19, yerr=errors, label=label, color=COLOURS[name], error_kw={"lw": 0.8})
    axes.set_xticks(range(len(results)), [one["title"] for one in results.values()])
    axes.set_ylabel("nDCG@10")
    axes.set_ylim(0, 1)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.15), frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)
