"""How fast passages are encoded: ragkit's ways against sentence-transformers' default, the same weights.

    python -m eval.speed.encoding [--data ../shared/data/squad] [--passages 512] [--rounds 5] [--threads N]
                                  [--ways openvino-bf16,openvino-int8,onnx-fp32,onnx-int8,torch-bf16]

The packaged encoder (all-MiniLM-L6-v2) encodes SQuAD's paragraphs, a random sample of them, in interleaved
rounds: by `SentenceTransformer.encode` as it comes (float32, batches of 32), and by the encoder of
`ragkit index build` in each runtime and precision. Texts come in and vectors go out on both sides. Ratio:
sentence-transformers' time over ragkit's, round by round, median and quartiles.

Quality against sentence-transformers' vectors: the mean cosine, and recall@10 of each paragraph by questions
of SQuAD's dev part among all of the sample's paragraphs.

Share of the limit: the multiplications and additions that the model needs for the texts' own tokens (no
padding; attention's included) a second, over those of a product of large matrices in the same precision on
the same number of cores, and over those of a product of the shape of the model's own layers, 1024 tokens by
384 by 1536.

With `--threads 1` time is the processor's, which other work on the machine touches less; with more it is the
wall clock's. Writes eval/results/encoding_speed.md and .json.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np

from eval.speed.measuring import (
    Clock,
    Precision,
    Spread,
    interleaved,
    matrix_product_gflops,
    processor,
    ratio,
    write_results,
)
from ragkit.corpus.questions import load_questions
from ragkit.encoders.choice import cosine
from ragkit.encoders.encoder import Vectors
from ragkit.encoders.loading import load_encoder, packaged_folder
from ragkit.encoders.sentence import SentenceEncoder, passage_text
from ragkit.errors import RagkitError
from ragkit.runtime.precision import PACKAGES, installed

PEER = "sentence-transformers"
WAYS = "openvino-bf16,openvino-int8,openvino-fp32,onnx-fp32,onnx-int8,torch-bf16"
TORCH_NAMES: dict[str, Precision] = {"fp32": "float32", "bf16": "bfloat16", "int8": "int8"}
MODEL_SHAPE = (1024, 384, 1536)
QUESTIONS, K = 500, 10


def sample(data: Path, count: int) -> tuple[list[tuple[str, str]], list[str], list[int]]:
    """Paragraphs as (title, text); questions of the dev part, and each one's paragraph among them."""
    questions = load_questions(data, "dev")
    assert questions.documents is not None
    passages = {d.id: (d.title, d.text) for d in questions.documents()}
    rng = np.random.default_rng(0)
    asked = [
        questions.questions[i] for i in rng.permutation(len(questions.questions))[: min(QUESTIONS, count)]
    ]
    gold = [next(iter(question.relevant)) for question in asked]
    others = [name for name in passages if name not in set(gold)]
    chosen = list(dict.fromkeys(gold))
    chosen += [others[i] for i in rng.permutation(len(others))[: max(0, count - len(chosen))]]
    row = {name: i for i, name in enumerate(chosen)}
    return [passages[name] for name in chosen], [q.text for q in asked], [row[name] for name in gold]


def encoders(ways: Sequence[str], threads: int) -> dict[str, SentenceEncoder]:
    """Those that this machine has; what is missing is said."""
    found = {}
    for way in ways:
        runtime, _, precision = way.partition("-")
        if runtime in PACKAGES and not installed(runtime):  # type: ignore[arg-type]
            print(f"{way} is left out: pip install 'ragkit[{PACKAGES[runtime][1]}]'")  # type: ignore[index]
            continue
        try:
            encoder = load_encoder("packaged", runtime, precision)
        except RagkitError as error:
            print(f"{way} is left out: {error}")
            continue
        assert isinstance(encoder, SentenceEncoder)
        encoder.threads = threads
        found[way] = encoder
    return found


def recall(questions: Vectors, passages: Vectors, gold: Sequence[int]) -> float:
    """Share of questions whose paragraph is among the K best."""
    scores = questions @ passages.T
    own = scores[np.arange(len(gold)), gold][:, None]
    return float(((scores > own).sum(axis=1) < K).mean())


def needed_gflop(config: Any, lengths: Sequence[int]) -> float:
    """Multiplications and additions of BERT's layers for texts of so many tokens, 1e9.

    A layer: query, key, value and output of d x d, up and down of d x f, scores and sums of n d each.
    """
    d, f, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    return sum(layers * (2 * n * (4 * d * d + 2 * d * f) + 4 * n * n * d) for n in lengths) / 1e9


def limits_of(precision: Precision, threads: int, clock: Clock) -> dict[str, float]:
    return {
        "square": matrix_product_gflops(precision, threads, 0.5, clock),
        "model": matrix_product_gflops(precision, threads, 0.5, clock, MODEL_SHAPE),
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    import torch
    from sentence_transformers import SentenceTransformer, __version__

    threads = options.threads
    torch.set_num_threads(threads)
    clock: Clock = time.process_time if threads == 1 else time.perf_counter
    passages, questions, gold = sample(options.data, options.passages)
    texts = [passage_text(title, text) for title, text in passages]
    peer = SentenceTransformer(str(packaged_folder()), local_files_only=True, device="cpu")
    ours = encoders(options.ways.split(","), threads)
    tokens = peer.tokenizer(texts, truncation=True, max_length=peer.max_seq_length)
    lengths = [len(ids) for ids in tokens["input_ids"]]
    work = needed_gflop(peer[0].auto_model.config, lengths)
    runs: dict[str, Callable[[], object]] = {PEER: partial(peer.encode, texts)}
    runs |= {way: partial(encoder.encode_passages, passages) for way, encoder in ours.items()}
    exact = np.asarray(peer.encode(texts))
    exact_questions = np.asarray(peer.encode(questions))
    quality = {PEER: (1.0, recall(exact_questions, exact, gold))}
    for way, encoder in ours.items():
        vectors = encoder.encode_passages(passages)
        quality[way] = cosine(vectors, exact), recall(encoder.encode_questions(questions), vectors, gold)
    limits = {name: limits_of(name, threads, clock) for name in get_args(Precision)}
    seconds = interleaved(runs, options.rounds, clock)
    rows = []
    for way, times in seconds.items():
        median = statistics.median(times)
        precision = TORCH_NAMES[way.rpartition("-")[2]] if way != PEER else "float32"
        rows.append(
            {
                "way": way,
                "passages_a_second": len(passages) / median,
                "ratio": vars(ratio(seconds[PEER], times)),
                "cosine": quality[way][0],
                "recall": quality[way][1],
                "gflops": work / median,
                "precision": precision,
                "share_of_limit": work / median / limits[precision]["square"],
                "share_of_model_shape": work / median / limits[precision]["model"],
            }
        )
    return {
        "command": f"python -m eval.speed.encoding --data {options.data} --passages {options.passages} "
        f"--rounds {options.rounds} --threads {threads} --ways {options.ways}",
        "processor": processor(),
        "threads": threads,
        "clock": clock.__name__,
        "versions": {"torch": torch.__version__, "sentence-transformers": __version__},
        "passages": len(passages),
        "questions": len(questions),
        "tokens": sum(lengths),
        "limits": limits,
        "rows": rows,
        "rounds": options.rounds,
    }


def markdown(report: dict[str, Any]) -> str:
    limits = ", ".join(
        f"{name} {limit['square']:.0f} (model's shape {limit['model']:.0f})"
        for name, limit in report["limits"].items()
    )
    versions = report["versions"]
    lines = [
        "# Encoding passages",
        "",
        f"`{report['command']}` on {report['processor']}, {report['threads']} thread(s), torch "
        f"{versions['torch']}, sentence-transformers {versions['sentence-transformers']}; "
        f"time.{report['clock']}.",
        "",
        f"{report['passages']:,} paragraphs of SQuAD, {report['tokens'] / report['passages']:.0f} tokens "
        f"each, by all-MiniLM-L6-v2; medians of {report['rounds']} interleaved rounds. Ratio: "
        "sentence-transformers' time over this way's, round by round, median (quartiles). Cosine: mean, to "
        f"sentence-transformers' vectors. Recall@{K} of {report['questions']} dev questions among these "
        "paragraphs. Limits, GFLOP/s of "
        f"matrix products: {limits}.",
        "",
        "| way | passages/s | times sentence-transformers | cosine | recall@10 | GFLOP/s | share of the "
        "precision's limit | at the model's shape |",
        "|---|---:|---|---:|---:|---:|---:|---:|",
    ]
    for row in report["rows"]:
        lines.append(
            f"| {row['way']} | {row['passages_a_second']:.0f} | {Spread(**row['ratio']).cell()} | "
            f"{row['cosine']:.4f} | {row['recall']:.3f} | {row['gflops']:.0f} | "
            f"{row['share_of_limit']:.0%} | {row['share_of_model_shape']:.0%} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, default=Path("../shared/data/squad"))
    arguments.add_argument("--passages", type=int, default=512)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    arguments.add_argument("--ways", default=WAYS)
    report = measure(arguments.parse_args())
    write_results("encoding_speed", report, markdown(report))


if __name__ == "__main__":
    main()
