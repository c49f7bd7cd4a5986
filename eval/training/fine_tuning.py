"""What fine-tuning a retriever on few questions gains by what comes before it, and by hard negatives.

    python -m eval.training.fine_tuning --data DATA [--steps 60] [--mlm-steps 100] [--own-steps 200]

All are fine-tuned on SciFact's train claims, the same ones in the same order, by in-batch negatives:

- the packaged encoder as it is, and with one mined hard negative a claim as well;
- the packaged encoder after masked language modelling (`ragkit train mlm --model packaged`) and after TSDAE
  (`ragkit adapt --method tsdae`) on SciFact's abstracts;
- the packaged BERT, and its architecture with random weights, for `--own-steps` steps.

The test claims are asked by dense search over their abstracts and random others; BM25 over the same abstracts
stands beside. Writes eval/results/fine_tuning.md. A run that was stopped goes on where it was.
"""

import argparse
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer, BertModel

from eval.retrieval.run import search
from eval.retrieval.sets import SUITES, index_of
from ragkit.corpus.document import Document
from ragkit.corpus.questions import Question, load_questions
from ragkit.encoders.loading import load_encoder
from ragkit.encoders.sentence import passage_text
from ragkit.evaluation.metrics import Values, evaluate_run
from ragkit.evaluation.report import markdown
from ragkit.evaluation.statistics import compare, estimate
from ragkit.generation.loading import WEIGHTS
from ragkit.index.lexical import rank_by_words
from ragkit.retrieval.index import Index
from ragkit.runtime.quiet import without_bars
from ragkit.training.adaptation.adapt import AdaptSettings, adapt
from ragkit.training.pretraining.mlm import ADAPTING, MlmSettings, train_mlm
from ragkit.training.retrieval.dual_encoder import DualEncoderSettings, train_dual_encoder
from ragkit.training.retrieval.mining import MiningSettings, mine

TABLE = Path(__file__).resolve().parents[1] / "results" / "fine_tuning.md"
MEASURES = ["nDCG@10", "RR@10", "R@10"]
SET = "scifact"
MODEL_TOKENS = 256
"""Where the packaged encoder cuts; sequences of the adaptation are as long."""
OWN_RATE = 1e-4
"""Learning rate of what has never been a retriever."""
ALONE, FROM_NOTHING = "packaged, fine-tuned", "random, fine-tuned"
"""What others are compared with."""


def passages(data: Path, questions: list[Question], count: int) -> list[Document]:
    """The abstracts that the claims cite, and others drawn with a fixed seed up to `count`."""
    every = load_questions(data / SET, "test").documents
    assert every is not None
    relevant = {name for question in questions for name in question.relevant}
    cited, others = [], []
    for document in every():
        (cited if document.id in relevant else others).append(document)
    return cited + random.Random(13).sample(others, max(0, count - len(cited)))


def asked(encoder: str | Path, documents: list[Document], questions: list[Question], out: Path) -> Values:
    """Values of each measure a question."""
    folder = out / "index"
    if not (folder / "current.json").is_file():
        Index.build(documents, folder, encoder=load_encoder(str(encoder)), factory="flat", lexical=False)
    run, _ = search(Index.open(folder), questions, "dense")
    return evaluate_run(run, {question.id: question.relevant for question in questions}, MEASURES)


def by_words(documents: list[Document], questions: list[Question]) -> Values:
    """BM25's values of each measure a question."""
    texts = [passage_text(one.title, one.text) for one in documents]
    scores, rows = rank_by_words(texts, [question.text for question in questions], 10)
    run = {
        question.id: {documents[row].id: float(s) for s, row in zip(*found, strict=True) if row >= 0}
        for question, *found in zip(questions, scores, rows, strict=True)
    }
    return evaluate_run(run, {question.id: question.relevant for question in questions}, MEASURES)


def show(event: dict[str, Any]) -> None:
    if event["event"] != "checkpoint":
        print(json.dumps(event), flush=True)


def mined(options: argparse.Namespace) -> Path:
    """The train claims with a hard negative each."""
    path: Path = options.out / "mined.json"
    if not path.is_file():
        index = index_of(SUITES[SET], options.data, options.indexes)
        mine(index, load_questions(options.data / SET, "train"), path, MiningSettings(negatives=1))
    return path


def after_mlm(options: argparse.Namespace) -> Path:
    loop = replace(ADAPTING, max_steps=options.mlm_steps, validate_every=options.mlm_steps // 2)
    settings = MlmSettings(
        loop, model="packaged", max_tokens=MODEL_TOKENS, batch_tokens=options.mlm_tokens, held_out=20_000
    )
    out: Path = options.out / "mlm"
    train_mlm([options.data / SET], out, settings, show)
    return out / "model"


def after_tsdae(options: argparse.Namespace) -> Path:
    out: Path = options.out / "tsdae"
    if not (out / "report.json").is_file():
        index = index_of(SUITES[SET], options.data, options.indexes)
        adapt(index.path, out, AdaptSettings(method="tsdae", max_steps=options.mlm_steps, batch=16), show)
    return out / "model"


def random_bert(options: argparse.Namespace) -> Path:
    """The packaged BERT's configuration and tokenizer, its weights drawn anew."""
    out: Path = options.out / "random" / "start"
    if not (out / "config.json").is_file():
        torch.manual_seed(0)
        with without_bars():
            BertModel(AutoConfig.from_pretrained(WEIGHTS / "bert"), False).save_pretrained(out)
        AutoTokenizer.from_pretrained(WEIGHTS / "bert").save_pretrained(out)
    return out


def measured(
    options: argparse.Namespace, documents: list[Document], questions: list[Question]
) -> Iterator[tuple[str, str, Values]]:
    """Name, what it is compared with, and values, of each encoder before and after its fine-tuning."""
    tuning = DualEncoderSettings(
        batch=options.batch, negatives=0, held_out=0, max_steps=options.steps, max_tokens=128
    )
    own = replace(tuning, max_steps=options.own_steps, learning_rate=OWN_RATE)
    claims = options.data / SET
    starts: dict[str, tuple[str | Path, DualEncoderSettings, str]] = {
        "packaged": ("packaged", tuning, ALONE),
        "MLM": (after_mlm(options), tuning, ALONE),
        "TSDAE": (after_tsdae(options), tuning, ALONE),
        "random": (random_bert(options), own, FROM_NOTHING),
        "BERT": (WEIGHTS / "bert", own, FROM_NOTHING),
    }
    for name, (start, settings, base) in starts.items():
        settings = replace(settings, encoder=str(start))
        out = options.out / name.lower()
        yield name, base, asked(start, documents, questions, out / "before")
        tuned = train_dual_encoder([claims], out / "dpr", settings, show, "train")
        yield f"{name}, fine-tuned", base, asked(tuned.weights, documents, questions, out / "after")
        if name == "packaged":
            hard = replace(settings, negatives=1)
            tuned = train_dual_encoder([mined(options)], out / "dpr-hard", hard, show)
            values = asked(tuned.weights, documents, questions, out / "after-hard")
            yield f"{name}, fine-tuned with hard negatives", base, values
    yield "BM25", ALONE, by_words(documents, questions)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the retrieval sets")
    parser.add_argument("--indexes", type=Path, default=Path("runs/indexes"))
    parser.add_argument("--out", type=Path, default=Path("runs/fine-tuning"))
    parser.add_argument("--passages", type=int, default=1200)
    parser.add_argument("--mlm-steps", type=int, default=100, help="of TSDAE as well, of 16 passages")
    parser.add_argument("--mlm-tokens", type=int, default=2048, help="of a step")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--own-steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=16)
    options = parser.parse_args()
    questions = [q for q in load_questions(options.data / SET, "test").questions if q.relevant]
    documents = passages(options.data, questions, options.passages)
    found = list(measured(options, documents, questions))
    values = {name: of for name, _, of in found}
    rows = []
    for name, base, of in found:
        versus = compare("nDCG@10", values[base]["nDCG@10"], of["nDCG@10"])
        cells = ["", ""] if name == base else [base, f"{versus.difference}, p {versus.p:.4f}"]
        rows.append([name, *(str(estimate(of[measure])) for measure in MEASURES), *cells])
    table = markdown(["encoder", *MEASURES, "compared with", "nDCG@10 less that one's"], rows)
    TABLE.write_text(
        "# What comes before fine-tuning a retriever\n\n"
        f"`python -m eval.training.fine_tuning --data DATA --passages {len(documents)} --steps "
        f"{options.steps} --mlm-steps {options.mlm_steps} --own-steps {options.own_steps}`: SciFact, "
        f"{len(questions)} test claims over {len(documents):,} abstracts, dense search. Fine-tuning: "
        f"{options.steps} steps of {options.batch} train claims with in-batch negatives, the same for all; "
        "with hard negatives one mined negative a claim as well. Before it, on the abstracts: "
        f"{options.mlm_steps} steps of MLM of {options.mlm_tokens:,} tokens, or as many of TSDAE of 16 "
        f"passages. BERT is the one that ships, random the same network with random weights, both for "
        f"{options.own_steps} steps at {OWN_RATE:g}. 95 % bootstrap intervals, paired randomisation "
        f"test.\n\n{table}",
        encoding="utf-8",
    )
    print(table)


if __name__ == "__main__":
    main()
