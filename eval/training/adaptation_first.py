"""Does a retriever profit from reading its field's texts first? MLM, then fine-tuning, against fine-tuning.

    python -m eval.training.adaptation_first --data DATA [--steps 100] [--mlm-steps 120]

The packaged encoder is fine-tuned on SciFact's train claims with in-batch negatives, once as it is and once
after masked language modelling on SciFact's abstracts (`ragkit train mlm --model packaged`), with the same
claims in the same order. The test claims are asked by dense search over their abstracts and random others.
Writes eval/results/adaptation_first.md. A run that was stopped goes on where it was.
"""

import argparse
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from eval.retrieval.run import search
from ragkit.corpus.document import Document
from ragkit.corpus.questions import Question, load_questions
from ragkit.encoders.loading import load_encoder
from ragkit.evaluation.metrics import evaluate_run
from ragkit.evaluation.report import markdown
from ragkit.evaluation.statistics import compare, estimate
from ragkit.retrieval.index import Index
from ragkit.training.pretraining.mlm import ADAPTING, MlmSettings, train_mlm
from ragkit.training.retrieval.dual_encoder import DualEncoderSettings, train_dual_encoder

TABLE = Path(__file__).resolve().parents[1] / "results" / "adaptation_first.md"
MEASURES = ["nDCG@10", "RR@10", "R@10"]
SET = "scifact"
MODEL_TOKENS = 256
"""Where the packaged encoder cuts; sequences of the adaptation are as long."""


def passages(data: Path, questions: list[Question], count: int) -> list[Document]:
    """The abstracts that the claims cite, and others drawn with a fixed seed up to `count`."""
    every = load_questions(data / SET, "test").documents
    assert every is not None
    relevant = {name for question in questions for name in question.relevant}
    cited, others = [], []
    for document in every():
        (cited if document.id in relevant else others).append(document)
    return cited + random.Random(13).sample(others, max(0, count - len(cited)))


def asked(encoder: str | Path, documents: list[Document], questions: list[Question], out: Path) -> Any:
    """Values of each measure a question."""
    folder = out / "index"
    if not (folder / "current.json").is_file():
        Index.build(documents, folder, encoder=load_encoder(str(encoder)), factory="flat", lexical=False)
    run, _ = search(Index.open(folder), questions, "dense")
    return evaluate_run(run, {question.id: question.relevant for question in questions}, MEASURES)


def show(event: dict[str, Any]) -> None:
    if event["event"] != "checkpoint":
        print(json.dumps(event), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the retrieval sets")
    parser.add_argument("--out", type=Path, default=Path("runs/adaptation-first"))
    parser.add_argument("--passages", type=int, default=2000)
    parser.add_argument("--mlm-steps", type=int, default=120)
    parser.add_argument("--mlm-tokens", type=int, default=2048, help="of a step")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch", type=int, default=16)
    options = parser.parse_args()
    questions = [q for q in load_questions(options.data / SET, "test").questions if q.relevant]
    documents = passages(options.data, questions, options.passages)

    loop = replace(ADAPTING, max_steps=options.mlm_steps, validate_every=options.mlm_steps // 2)
    settings = MlmSettings(
        loop, model="packaged", max_tokens=MODEL_TOKENS, batch_tokens=options.mlm_tokens, held_out=20_000
    )
    adapted = train_mlm([options.data / SET], options.out / "mlm", settings, show)

    tuning = DualEncoderSettings(
        batch=options.batch, negatives=0, held_out=0, max_steps=options.steps, max_tokens=128
    )
    values = {}
    for name, encoder in {"packaged": "packaged", "MLM": options.out / "mlm" / "model"}.items():
        out = options.out / name.lower()
        values[name] = asked(encoder, documents, questions, out / "before")
        tuned = train_dual_encoder(
            [options.data / SET], out / "dpr", replace(tuning, encoder=str(encoder)), show, "train"
        )
        values[f"{name}, fine-tuned"] = asked(tuned.weights, documents, questions, out / "after")

    base = values["packaged, fine-tuned"]["nDCG@10"]
    rows = []
    for name, of in values.items():
        versus = compare("nDCG@10", base, of["nDCG@10"])
        own = name == "packaged, fine-tuned"
        cell = "" if own else f"{versus.difference}, p {versus.p:.4f}"
        rows.append([name, *(str(estimate(of[measure])) for measure in MEASURES), cell])
    table = markdown(["encoder", *MEASURES, "nDCG@10 minus fine-tuning alone"], rows)
    TABLE.write_text(
        "# Masked language modelling before fine-tuning a retriever\n\n"
        f"`python -m eval.training.adaptation_first --data DATA --passages {len(documents)} --steps "
        f"{options.steps} --mlm-steps {options.mlm_steps}`: SciFact, {len(questions)} test claims over "
        f"{len(documents):,} abstracts, dense search. Fine-tuning: {options.steps} steps of {options.batch} "
        "train claims with in-batch negatives, the same for both. MLM before it: "
        f"{options.mlm_steps} steps of {options.mlm_tokens:,} tokens on the abstracts, after which a hidden "
        f"token cost {adapted.scores['loss']:.2f} nats. 95 % bootstrap intervals, paired randomisation "
        f"test.\n\n{table}",
        encoding="utf-8",
    )
    print(table)


if __name__ == "__main__":
    main()
