"""DPR's loss, the triplet and the contrastive loss on the same data, from the same start, at equal steps.

    python -m eval.training.dual_encoder_losses --data DATA [--steps 300] [--towers frozen]

Mines one hard negative for questions of SQuAD train out of SQuAD's index, trains a dual encoder a loss, and
asks each for dev questions over all 20,958 paragraphs. Writes eval/results/dual_encoder_losses.md. With
frozen passages (the default) some five minutes on two cores; other towers need an index each, which takes
far longer. A run that was stopped goes on where it was.
"""

import argparse
from pathlib import Path
from typing import get_args

from eval.retrieval.run import search
from eval.retrieval.sets import SUITES, index_of, questions_of
from eval.training.dual_encoder import index_with
from ragkit.corpus.questions import QuestionSet, load_questions
from ragkit.encoders.loading import load_encoder
from ragkit.evaluation.metrics import evaluate_run
from ragkit.evaluation.report import markdown
from ragkit.evaluation.statistics import compare, estimate
from ragkit.training.retrieval.dual_encoder import DualEncoderSettings, train_dual_encoder
from ragkit.training.retrieval.losses import COSINE_SCALE, MARGINS, LossName
from ragkit.training.retrieval.mining import MiningSettings, mine

TABLE = Path(__file__).resolve().parents[1] / "results" / "dual_encoder_losses.md"
MEASURES = ["Success@1", "Success@5", "Success@20", "RR@10"]
SUITE = SUITES["squad"]


def mined(data: Path, indexes: Path, questions: int, out: Path) -> Path:
    """The first questions of SQuAD train, which are those of its first articles, with a hard negative
    each."""
    path = out / f"mined-{questions}.json"
    if not path.is_file():
        asked = load_questions(data / SUITE.name, "train")
        few = QuestionSet(asked.name, asked.split, asked.questions[:questions], asked.documents)
        mine(index_of(SUITE, data, indexes), few, path, MiningSettings(negatives=1))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the retrieval sets")
    parser.add_argument("--indexes", type=Path, default=Path("runs/indexes"))
    parser.add_argument("--out", type=Path, default=Path("runs/dpr-losses"))
    parser.add_argument("--questions", type=int, default=2000, help="of SQuAD train")
    parser.add_argument("--asked", type=int, default=2000, help="of SQuAD dev")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    parser.add_argument("--towers", choices=["frozen", "shared", "separate"], default="frozen")
    options = parser.parse_args()
    data = mined(options.data, options.indexes, options.questions, options.out)
    questions = questions_of(SUITE, SUITE.test, options.data, options.asked)
    qrels = {question.id: question.relevant for question in questions}
    start, _ = search(index_of(SUITE, options.data, options.indexes), questions, "dense")
    values = {"none (start)": evaluate_run(start, qrels, MEASURES)}
    for loss in get_args(LossName):
        settings = DualEncoderSettings(
            loss=loss, towers=options.towers, batch=options.batch, max_steps=options.steps,
            learning_rate=options.learning_rate, held_out=0,
        )  # fmt: skip
        out = options.out / f"{options.towers}-{loss}"
        result = train_dual_encoder([data], out, settings, lambda event: print(event))
        index = index_with(load_encoder(result.weights), SUITE, options.data, options.indexes)
        values[loss] = evaluate_run(search(index, questions, "dense")[0], qrels, MEASURES)
    rows = []
    for name, of in values.items():
        versus = compare("RR@10", values["nll"]["RR@10"], of["RR@10"])
        setting = f"margin {MARGINS[name]}" if name in MARGINS else f"scale {COSINE_SCALE:g}"
        rows.append(
            [name, "" if name.startswith("none") else setting]
            + [str(estimate(of[measure])) for measure in MEASURES]
            + ["" if name == "nll" else f"{versus.difference}, p {versus.p:.4f}"]
        )
    table = markdown(["loss", "setting", *MEASURES, "RR@10 minus nll's"], rows)
    TABLE.write_text(
        "# Losses of the dual encoder\n\n"
        f"`python -m eval.training.dual_encoder_losses --data DATA --steps {options.steps} --towers "
        f"{options.towers}`: from the packaged encoder, {options.steps} steps of {options.batch} questions "
        f"each, one hard negative a question, {options.questions:,} questions of SQuAD train; "
        f"{len(questions):,} dev questions over all 20,958 paragraphs. 95 % bootstrap intervals, "
        f"paired randomisation test.\n\n{table}",
        encoding="utf-8",
    )
    print(table)


if __name__ == "__main__":
    main()
