"""What ragkit adds to FAISS's own search time.

    OMP_NUM_THREADS=1 python -m eval.speed.search --index PATH [--index PATH] [--rounds 30] [-k 5]

Each index is searched three ways on the same vectors, in interleaved rounds: by FAISS itself, the engine
read from the index's file; by ragkit's `dense_candidates` (scores and rows); and by `search_batch` in dense
mode, whose hits hold the passages with their text and metadata. Questions are vectors of passages of the
index, moved a little; encoding is no part of this. In batches of 100, and one by one.

Ratios are to FAISS's time in the same round, median and quartiles. With one thread (OMP_NUM_THREADS), time is
the processor's, so that other work on the machine does not count; with more it is the wall clock's. The share
of the machine's limit is that of ragkit's rows: for batches, multiplications and additions a second over
those of a large matrix product; for single questions, bytes of vectors read a second over those of a sum of
as many.

Writes eval/results/search_speed.md and .json.
"""

import argparse
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from eval.speed.measuring import (
    Clock,
    Spread,
    interleaved,
    matrix_product_gflops,
    processor,
    ratio,
    read_bandwidth,
    write_results,
)
from ragkit.encoders.encoder import Vectors
from ragkit.index.vector_files import VECTORS
from ragkit.retrieval.index import Index

BATCH, SINGLES, NOISE = 100, 20, 0.3
WAYS = ("FAISS", "rows", "passages")


class Asked:
    """An encoder of questions whose vectors are known: the i-th is asked by the text "i"."""

    def __init__(self, vectors: Vectors):
        self.vectors = vectors

    def encode_questions(self, questions: Sequence[str]) -> Vectors:
        return self.vectors[[int(question) for question in questions]]


def measure(path: Path, k: int, rounds: int, threads: int) -> list[dict[str, Any]]:
    clock: Clock = time.process_time if threads == 1 else time.perf_counter
    index = Index.open(path)
    vectors = near_passages(index, BATCH)
    index._encoder = Asked(vectors)  # type: ignore[assignment]
    whole = faiss.read_index(str(index._reader.generation.file(VECTORS)))
    engine = faiss.downcast_index(whole.index)
    one_by_one = [vectors[i : i + 1] for i in range(SINGLES)]
    questions = list(map(str, range(BATCH)))
    np.testing.assert_allclose(
        engine.search(vectors, k)[0], index.dense_candidates(vectors, k)[0], rtol=0, atol=1e-5
    )
    runs = {
        BATCH: {
            "FAISS": lambda: engine.search(vectors, k),
            "rows": lambda: index.dense_candidates(vectors, k),
            "passages": lambda: index.search_batch(questions, k, mode="dense"),
        },
        1: {
            "FAISS": lambda: [engine.search(vector, k) for vector in one_by_one],
            "rows": lambda: [index.dense_candidates(vector, k) for vector in one_by_one],
            "passages": lambda: [index.search(question, k, mode="dense") for question in questions[:SINGLES]],
        },
    }
    rows = []
    for batch, ways in runs.items():
        seconds = interleaved(ways, rounds, clock)
        asked = BATCH if batch == BATCH else SINGLES
        distances = counted_distances(engine, vectors, k)
        if batch == BATCH:
            limit = matrix_product_gflops("float32", threads, clock=clock)
            work = 2 * vectors.shape[1] * distances / 1e9
        else:
            limit = read_bandwidth(int(distances * code_size(engine)), threads, clock=clock)
            work = code_size(engine) * distances / 1e9
        milliseconds = {way: 1000 * statistics.median(seconds[way]) / asked for way in WAYS}
        rows.append(
            {
                "index": path.name,
                "factory": index.manifest.factory,
                "passages": len(index),
                "dimension": vectors.shape[1],
                "batch": batch,
                "milliseconds_a_question": milliseconds,
                "ratio": {way: vars(ratio(seconds[way], seconds["FAISS"])) for way in WAYS[1:]},
                "limit": limit,
                "share_of_limit": work / (milliseconds["rows"] / 1000) / limit,
            }
        )
    return rows


def near_passages(index: Index, count: int) -> Vectors:
    """(count, d): vectors of evenly spread passages with some noise, of length one."""
    vectors = index.passage_vectors()(np.linspace(0, len(index) - 1, count).astype(np.int64))
    noise = np.random.default_rng(0).standard_normal(vectors.shape)
    vectors = vectors + NOISE * noise / vectors.shape[1] ** 0.5
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def counted_distances(engine: Any, vectors: Vectors, k: int) -> float:
    """How many vectors FAISS scores for a question, by its own count."""
    for counts in (faiss.cvar.hnsw_stats, faiss.cvar.indexIVF_stats):
        counts.reset()
    engine.search(vectors, k)
    counted = faiss.cvar.hnsw_stats.ndis + faiss.cvar.indexIVF_stats.ndis
    return counted / len(vectors) if counted else engine.ntotal


def code_size(engine: Any) -> int:
    """Bytes a vector."""
    return faiss.downcast_index(engine.storage if hasattr(engine, "storage") else engine).sa_code_size()


def markdown(report: dict[str, Any]) -> str:
    lines = [
        "# Search: what ragkit adds to FAISS",
        "",
        f"`{report['command']}` on {report['processor']}, {report['threads']} thread(s), "
        f"FAISS {report['faiss']}.",
        "",
        f"The {report['k']} best passages a question, milliseconds a question, medians of {report['rounds']} "
        "interleaved rounds. Ratios to FAISS's own time, run by run: median (quartiles). Rows: scores and "
        "numbers of passages; passages: hits with text and metadata.",
        "",
        "| index | engine | passages | questions at once | FAISS ms | rows ms | rows / FAISS | passages ms | "
        "passages / FAISS | share of the machine's limit |",
        "|---|---|---:|---:|---:|---:|---|---:|---|---|",
    ]
    for row in report["rows"]:
        ms = row["milliseconds_a_question"]
        rows, passages = (Spread(**row["ratio"][way]).cell() for way in WAYS[1:])
        unit = "GB/s" if row["batch"] == 1 else "GFLOP/s"
        lines.append(
            f"| {row['index']} | {row['factory']} | {row['passages']:,} | {row['batch']} | "
            f"{ms['FAISS']:.3f} | {ms['rows']:.3f} | {rows} | {ms['passages']:.3f} | {passages} | "
            f"{row['share_of_limit']:.0%} of {row['limit']:.0f} {unit} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--index", type=Path, action="append", required=True)
    arguments.add_argument("--rounds", type=int, default=30)
    arguments.add_argument("-k", type=int, default=5)
    options = arguments.parse_args()
    threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
    report = {
        "command": f"OMP_NUM_THREADS={threads} python -m eval.speed.search "
        + "".join(f"--index {path} " for path in options.index)
        + f"--rounds {options.rounds} -k {options.k}",
        "processor": processor(),
        "threads": threads,
        "faiss": faiss.__version__,
        "rounds": options.rounds,
        "k": options.k,
        "rows": [row for path in options.index for row in measure(path, options.k, options.rounds, threads)],
    }
    write_results("search_speed", report, markdown(report))


if __name__ == "__main__":
    main()
