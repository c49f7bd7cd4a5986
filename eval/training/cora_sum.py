"""Dropout and weight decay of row 129, sums over neighbours, chosen on Cora's validation papers alone.

    python -m eval.training.cora_sum

Every pair of a grid is trained from three seeds that the check does not use; the test papers' accuracy is not
looked at. Cora is read from the folder in RAGKIT_DATA. Writes eval/results/cora_sum.{json,md}; pairs that
stand there already are not trained again.
"""

import json
from dataclasses import replace
from itertools import product
from statistics import mean
from typing import Any

from eval.printed import RESULTS, last_run
from ragkit.chapters.experiment import over_seeds
from ragkit.chapters.graph.nodes import CoraNodes
from ragkit.evaluation.report import markdown

DROPOUTS = (0.5, 0.6, 0.7, 0.8, 0.9)
WEIGHT_DECAYS = (5e-4, 1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2)
SEEDS = (100, 101, 102)


def measured(dropout: float, weight_decay: float) -> dict[str, Any]:
    """Accuracy on the validation papers of the network that is best there, one run a seed."""
    loop = replace(CoraNodes.loop, weight_decay=weight_decay, patience=40)
    runs = over_seeds(CoraNodes(aggregate="sum", dropout=dropout, loop=loop), SEEDS)
    return {"dropout": dropout, "weight_decay": weight_decay, "validation": runs["validation"]}


def report(rows: list[dict[str, Any]]) -> str:
    best = max(rows, key=lambda row: mean(row["validation"]))
    cells = [
        [
            f"{row['dropout']:g}",
            f"{row['weight_decay']:g}",
            f"{mean(row['validation']):.4f}",
            ", ".join(f"{value:.3f}" for value in row["validation"]),
            "chosen" if row is best else "",
        ]
        for row in rows
    ]
    return (
        "# Sums over Cora: dropout and weight decay\n\n"
        "`python -m eval.training.cora_sum`: accuracy on the 500 validation papers of Cora's public split, "
        f"seeds {', '.join(map(str, SEEDS))}, 200 steps. The highest mean is chosen for row 129.\n\n"
        f"{markdown(['dropout', 'weight decay', 'validation', 'each seed', ''], cells)}\n"
    )


def main() -> None:
    kept = RESULTS / "cora_sum.json"
    rows: list[dict[str, Any]] = last_run(kept) or []
    done = {(row["dropout"], row["weight_decay"]) for row in rows}
    for pair in product(DROPOUTS, WEIGHT_DECAYS):
        if pair not in done:
            rows.append(measured(*pair))
            print(rows[-1], flush=True)
    rows.sort(key=lambda row: (row["dropout"], row["weight_decay"]))
    kept.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "cora_sum.md").write_text(report(rows), encoding="utf-8")
    print(report(rows))


if __name__ == "__main__":
    main()
