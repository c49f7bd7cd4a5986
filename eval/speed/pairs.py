"""How fast reader, reranker and generator are, by runtime and precision, and what is lost.

    python -m eval.speed.pairs [--data ../shared/data/squad] [--questions 200] [--rounds 3] [--threads N]
                               [--ways torch-fp32,openvino-fp32,openvino-bf16,openvino-int8,onnx-int8]

The packaged reader and generator answer questions of SQuAD's dev part from their own paragraphs
(`ExtractiveReader.answer`, `RagSequence.answer`); the packaged reranker scores a quarter of the questions,
each with its paragraph and up to nine others of the same article. Of the generator the encoder is computed in
the way named, what writes the answer always by torch, in float32 beside fp32 and else in bfloat16. The same
sample in every way, in interleaved rounds; ratios are to the first way, round by round, median and quartiles.
Reader and generator: F1 and exact match by SQuAD's rules. Reranker: mean reciprocal rank of the question's
own paragraph.

Limit: as in eval/speed/encoding.py, of a product of large matrices; not for the generator, whose answers take
as much arithmetic as they are long. With `--threads 1` time is the processor's, which other work on the
machine touches less; with more it is the wall clock's. Writes eval/results/pair_speed.md and .json.
"""

import argparse
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from eval.speed.encoding import TORCH_NAMES, needed_gflop
from eval.speed.measuring import (
    Clock,
    Spread,
    interleaved,
    matrix_product_gflops,
    processor,
    ratio,
    write_results,
)
from ragkit.corpus.document import Passage
from ragkit.corpus.questions import Question, load_questions
from ragkit.encoders.sentence import passage_text
from ragkit.errors import RagkitError
from ragkit.evaluation.answers import exact_match, f1
from ragkit.generation.answerer import Answerer
from ragkit.generation.loading import load_reader
from ragkit.generation.rag_sequence import RagSequence
from ragkit.generation.reader import ExtractiveReader
from ragkit.retrieval.hit import Hit
from ragkit.retrieval.pair_scores import PairScorer
from ragkit.retrieval.reranking import load_reranker
from ragkit.runtime.precision import check_choice

WAYS = "torch-fp32,torch-bf16,openvino-fp32,openvino-bf16,openvino-int8,onnx-int8"
CANDIDATES = 10
"""Passages of a question that the reranker scores, its own first."""


def sample(data: Path, count: int) -> tuple[list[Question], list[list[Passage]]]:
    """Questions, and for each its paragraph followed by others of the same article."""
    questions = load_questions(data, "dev")
    assert questions.documents is not None
    articles: dict[str, list[Passage]] = defaultdict(list)
    passages: dict[str, Passage] = {}
    for document in questions.documents():
        passage = Passage(document.id, document.id, document.text, 0, len(document.text), document.title)
        articles[document.title].append(passage)
        passages[document.id] = passage
    rng = np.random.default_rng(0)
    asked = [questions.questions[i] for i in rng.permutation(len(questions.questions))[:count]]
    found = []
    for question in asked:
        own = passages[next(iter(question.relevant))]
        others = [passage for passage in articles[own.title] if passage is not own]
        found.append([own, *(others[i] for i in rng.permutation(len(others))[: CANDIDATES - 1])])
    return asked, found


def available(ways: Sequence[str]) -> list[str]:
    found = []
    for way in ways:
        try:
            check_choice(*way.split("-"))
            found.append(way)
        except RagkitError as error:
            print(f"{way} is left out: {error}")
    return found


def read(reader: Answerer, questions: Sequence[Question], passages: list[list[Passage]]) -> list[str]:
    hits = [[Hit(own, 1.0, 1)] for own, *_ in passages]
    return [answer.text for answer in reader.answer([q.text for q in questions], hits)]


def scores(scorer: PairScorer, questions: Sequence[Question], passages: list[list[Passage]]) -> list[Any]:
    pairs = [
        (question.text, passage_text(p.title, p.text))
        for question, of_question in zip(questions, passages, strict=True)
        for p in of_question
    ]
    return np.split(scorer.logits(pairs), np.cumsum([len(p) for p in passages])[:-1])


def answers_quality(answers: Sequence[str], questions: Sequence[Question]) -> dict[str, float]:
    both = list(zip(answers, questions, strict=True))
    return {
        "F1": statistics.mean(f1(text, question.answers) for text, question in both),
        "EM": statistics.mean(exact_match(text, question.answers) for text, question in both),
    }


def ranks_quality(logits: Sequence[Any]) -> dict[str, float]:
    return {"MRR": statistics.mean(1 / (1 + int((row[1:] > row[0]).sum())) for row in logits)}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    import torch

    torch.set_num_threads(options.threads)
    clock: Clock = time.process_time if options.threads == 1 else time.perf_counter
    ways = available(options.ways.split(","))
    questions, passages = sample(options.data, options.questions)
    fewer = slice(0, max(1, options.questions // 4))  # ten pairs each
    model, tokenizer = load_reader()
    ranker = load_reranker().scorer
    readers = {
        way: ExtractiveReader(None, (model, tokenizer), k=1, runtime=r, precision=p)
        for way in ways
        for r, p in [way.split("-")]
    }
    rankers = {
        way: PairScorer(ranker.model, ranker.tokenizer, runtime=r, precision=p)
        for way in ways
        for r, p in [way.split("-")]
    }
    generators = {
        way: RagSequence(None, k=1, runtime=r, precision=p) for way in ways for r, p in [way.split("-")]
    }
    quality: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)

    def answer(name: str, way: str, one: Answerer) -> None:
        quality[name][way] = answers_quality(read(one, questions, passages), questions)

    def rank(way: str, one: PairScorer) -> None:
        quality["reranker"][way] = ranks_quality(scores(one, questions[fewer], passages[fewer]))

    runs: dict[str, dict[str, Callable[[], object]]] = {
        "reader": {way: partial(answer, "reader", way, one) for way, one in readers.items()},
        "reranker": {way: partial(rank, way, one) for way, one in rankers.items()},
        "generator": {way: partial(answer, "generator", way, one) for way, one in generators.items()},
    }
    lengths = {
        "reader": pair_lengths(
            tokenizer, questions, [p[:1] for p in passages], readers[ways[0]].scorer.window
        ),
        "reranker": pair_lengths(ranker.tokenizer, questions[fewer], passages[fewer], ranker.max_tokens),
    }
    lengths["generator"] = lengths["reader"]
    networks = {"reader": model, "reranker": ranker.model}
    limits = {
        p: matrix_product_gflops(TORCH_NAMES[p], options.threads, 0.5, clock)
        for p in {way.split("-")[1] for way in ways}
    }
    rows = []
    for name, of_model in runs.items():
        seconds = interleaved(of_model, options.rounds, clock)
        work = needed_gflop(networks[name].config, lengths[name]) if name in networks else None
        for way, times in seconds.items():
            median = statistics.median(times)
            rows.append(
                {
                    "model": name,
                    "way": way,
                    "pairs_a_second": len(lengths[name]) / median,
                    "ratio": vars(ratio(seconds[ways[0]], times)),
                    "quality": quality[name][way],
                    "gflops": work and work / median,
                    "share_of_limit": work and work / median / limits[way.split("-")[1]],
                }
            )
    return {
        "command": f"python -m eval.speed.pairs --data {options.data} --questions {options.questions} "
        f"--rounds {options.rounds} --threads {options.threads} --ways {options.ways}",
        "processor": processor(),
        "threads": options.threads,
        "clock": clock.__name__,
        "questions": len(questions),
        "pairs": {name: len(found) for name, found in lengths.items()},
        "tokens": {name: sum(found) for name, found in lengths.items()},
        "limits": limits,
        "base": ways[0],
        "rounds": options.rounds,
        "rows": rows,
    }


def pair_lengths(
    tokenizer: Any, questions: Sequence[Question], passages: Sequence[Sequence[Passage]], most: int
) -> list[int]:
    """Tokens of each pair."""
    pairs = [
        (q.text, passage_text(p.title, p.text)) for q, ps in zip(questions, passages, strict=True) for p in ps
    ]
    asked, read = ([pair[side] for pair in pairs] for side in (0, 1))
    tokens = tokenizer(asked, read, truncation="longest_first", max_length=most)
    return [len(ids) for ids in tokens["input_ids"]]


def markdown(report: dict[str, Any]) -> str:
    limits = ", ".join(f"{name} {limit:.0f}" for name, limit in sorted(report["limits"].items()))
    pairs = ", ".join(
        f"{count:,} of the {name} ({report['tokens'][name] / count:.0f} tokens each)"
        for name, count in report["pairs"].items()
    )
    lines = [
        "# Reader, reranker and generator",
        "",
        f"`{report['command']}` on {report['processor']}, {report['threads']} thread(s); "
        f"time.{report['clock']}.",
        "",
        f"Pairs of question and paragraph from SQuAD's dev part: {pairs}. Medians of {report['rounds']} "
        f"interleaved rounds; ratio: {report['base']}'s time over this way's, round by round, median "
        f"(quartiles). Limits, GFLOP/s of a large matrix product: {limits}.",
        "",
        f"| model | way | pairs/s | times {report['base']} | quality | GFLOP/s | share of the limit |",
        "|---|---|---:|---|---|---:|---:|",
    ]
    for row in report["rows"]:
        quality = ", ".join(
            f"{name} {value:.3f}" if name == "MRR" else f"{name} {100 * value:.1f}"
            for name, value in row["quality"].items()
        )
        arithmetic = f"{row['gflops']:.0f} | {row['share_of_limit']:.0%}" if row["gflops"] else " | "
        lines.append(
            f"| {row['model']} | {row['way']} | {row['pairs_a_second']:.0f} | "
            f"{Spread(**row['ratio']).cell()} | {quality} | {arithmetic} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, default=Path("../shared/data/squad"))
    arguments.add_argument("--questions", type=int, default=200)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    arguments.add_argument("--ways", default=WAYS)
    report = measure(arguments.parse_args())
    write_results("pair_speed", report, markdown(report))


if __name__ == "__main__":
    main()
