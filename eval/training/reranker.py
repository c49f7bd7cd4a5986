"""The three losses of a reranker on the same data, from the same start, at equal steps.

    python -m eval.training.reranker runs/reranker/data/*.json --out runs/reranker/losses --steps 300

Trains one reranker a loss and ranks the held-out questions' passages with each; the listwise losses against
pointwise BCE, question by question, with intervals. Writes eval/results/reranker_losses.md. A run that was
stopped goes on where it was.
"""

import argparse
from pathlib import Path
from typing import get_args

from ragkit.evaluation.report import markdown
from ragkit.evaluation.statistics import compare, estimate
from ragkit.retrieval.reranking import load_reranker
from ragkit.training.ranking.data import read_ranking_set
from ragkit.training.ranking.losses import LossName
from ragkit.training.ranking.reranker import MEASURES, HeldOut, RerankerSettings, train_reranker
from ragkit.training.retrieval.data import split_held_out

TABLE = Path(__file__).resolve().parents[1] / "results" / "reranker_losses.md"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="+", help="what `ragkit train rerank` takes")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--model", default="reader", help="where each starts")
    options = parser.parse_args()
    sets = [read_ranking_set(path) for path in options.data]
    held = [split_held_out(one, RerankerSettings().held_out)[1] for one in sets]
    values = {}
    for loss in get_args(LossName):
        settings = RerankerSettings(model=options.model, loss=loss, max_steps=options.steps)
        result = train_reranker(options.data, options.out / loss, settings, lambda event: print(event))
        values[loss] = HeldOut(held, load_reranker(result.weights).scorer).values()
    rows = []
    for loss, of_loss in values.items():
        versus = [compare(name, values["bce"][name], of_loss[name]) for name in MEASURES]
        rows.append(
            [loss]
            + [str(estimate(of_loss[name])) for name in MEASURES]
            + ["" if loss == "bce" else f"{c.difference} (p {c.p:.4f})" for c in versus]
        )
    head = ["loss", *MEASURES, *(f"{name} minus bce's" for name in MEASURES)]
    table = markdown(head, rows)
    count = len(values["bce"][MEASURES[0]])
    TABLE.write_text(
        "# Losses of the reranker\n\n"
        f"`python -m eval.training.reranker DATA... --out OUT --steps {options.steps}`: "
        f"{options.steps} steps each from `{options.model}`, on {', '.join(p.stem for p in options.data)}; "
        f"the passages of {count:,} held-out questions, ranked. 95 % bootstrap intervals.\n\n{table}",
        encoding="utf-8",
    )
    print(table)


if __name__ == "__main__":
    main()
