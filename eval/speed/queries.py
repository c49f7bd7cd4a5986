"""How long one question takes, encoding and search: ragkit against what people use instead.

    python -m eval.speed.queries --index runs/indexes/squad [--index runs/indexes/squad-hnsw]
                                 [--data ../shared/data/squad] [--questions 300] [--threads N] [-k 5]

Every candidate has the same weights (all-MiniLM-L6-v2) and the same passages with the same vectors, those of
the first index; it gets a question as text and gives its k best passages with their texts. Peers: txtai,
Haystack, LangChain with FAISS, and sentence-transformers with a bare FAISS index (`peers.py`). ragkit
searches as `Index.search` does, by meaning alone (dense), which is what the peers do, and by meaning and
words (hybrid), its default; further indexes, of the same passages, by meaning alone, one that was given a
smaller question tower (`ragkit compress INDEX --to layers`, `ragkit index adopt`) with that.

Questions of SQuAD's dev part come one by one, in runs of `RUN`: a run is put to one candidate after the
other, the first of them another one each time, so that each has the caches as a program of its own would.
Ratios are question by question, median and quartiles. Recall: the mean share of the k best that exact search
with sentence-transformers' vectors finds, which the candidate finds too; and the share of questions whose
relevant passage is among the candidate's k best.

A peer that is not installed is named and left out: pip install -c constraints.txt -e '.[peers]'.

With `--threads 1` time is the processor's, which other work on the machine touches less; with more it is the
wall clock's. Writes eval/results/query_speed.md and .json.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from eval.speed.measuring import Clock, Spread, processor, ratio, write_results
from eval.speed.peers import PEERS, Search, missing
from ragkit.corpus.questions import load_questions
from ragkit.encoders.loading import packaged_folder
from ragkit.encoders.sentence import SentenceEncoder, passage_text
from ragkit.encoders.towers import tower
from ragkit.retrieval.index import Index, Mode
from ragkit.runtime.quiet import quiet
from ragkit.training.compression.subject import weights_of

WARM_UP = 80
"""Questions that are not counted: by then ragkit has compiled its graphs for short texts."""
RUN = 10
BASE = "ragkit, dense"
EXACT = "sentence-transformers + FAISS"


def opened(path: Path, like: Index) -> Index:
    """The index, with the encoder of `like` where that is its own: one graph for both."""
    index = Index.open(path)
    same = index.manifest.passport.questions == like.manifest.passport.questions
    return Index.open(path, like.encoder) if same else index


def weights(index: Index) -> int:
    assert isinstance(index.encoder, SentenceEncoder)
    return weights_of(tower(index.encoder.model, "query"))


def candidates(indexes: list[Index], k: int) -> dict[str, Search]:
    def ragkit(index: Index, mode: Mode, question: str) -> list[str]:
        return [hit.passage.id for hit in index.search(question, k, mode=mode)]

    index, *others = indexes
    found: dict[str, Search] = {
        BASE: partial(ragkit, index, "dense"),
        "ragkit, hybrid": partial(ragkit, index, "hybrid"),
    }
    for other in others:
        if len(other) != len(index):
            raise SystemExit(f"{other.path} holds other passages than {index.path}")
        name = f"{BASE}, {other.manifest.factory}"
        if other.manifest.passport.questions:
            name += f", questions' tower of {weights(other) / 1e6:.1f} million weights"
        found[name] = partial(ragkit, other, "dense")
    rows = range(len(index))
    texts = [(passage.id, passage_text(passage.title, passage.text)) for passage in index.passages(rows)]
    vectors = index.passage_vectors()(np.arange(len(index)))
    absent = missing()
    if absent:
        print(f"left out: {', '.join(absent)}; pip install -c constraints.txt -e '.[peers]'")
    for name, build in PEERS.items():
        if name not in absent:
            with quiet():
                found[name] = build(str(packaged_folder()), texts, vectors, k)
    return found


def measure(options: argparse.Namespace) -> dict[str, Any]:
    import torch

    torch.set_num_threads(options.threads)
    clock: Clock = time.process_time if options.threads == 1 else time.perf_counter
    index = Index.open(options.index[0])
    indexes = [index, *(opened(path, index) for path in options.index[1:])]
    asked = load_questions(options.data, "dev").questions
    chosen = np.random.default_rng(0).permutation(len(asked))[: WARM_UP + options.questions]
    questions = [asked[i].text for i in chosen]
    relevant = [asked[i].relevant for i in chosen[WARM_UP:]]
    document_of = {p.id: p.document_id for p in index.passages(range(len(index)))}
    searches = candidates(indexes, options.k)
    seconds, found = ask(searches, questions, clock)
    exact = found[EXACT]
    rows = []
    for name, times in seconds.items():
        cuts = statistics.quantiles(times, n=20)
        shared = [len(set(mine) & set(wanted)) for mine, wanted in zip(found[name], exact, strict=True)]
        right = [
            any(document_of[one] in wanted for one in mine)
            for mine, wanted in zip(found[name], relevant, strict=True)
        ]
        rows.append(
            {
                "name": name,
                "p50_ms": 1000 * statistics.median(times),
                "p95_ms": 1000 * cuts[18],
                "ratio": vars(ratio(times, seconds[BASE])),
                "recall": statistics.mean(shared) / options.k,
                "relevant": statistics.mean(right),
            }
        )
    named = " ".join(f"--index {path}" for path in options.index)
    return {
        "command": f"python -m eval.speed.queries {named} --data {options.data} --questions "
        f"{options.questions} --threads {options.threads} -k {options.k}",
        "processor": processor(),
        "threads": options.threads,
        "clock": clock.__name__,
        "passages": len(index),
        "engine": index.manifest.factory,
        "questions": options.questions,
        "k": options.k,
        "computed": index.encoder.passport().computed,
        "rows": rows,
    }


def ask(
    searches: dict[str, Search], questions: list[str], clock: Callable[[], float]
) -> tuple[dict[str, list[float]], dict[str, list[list[str]]]]:
    """Seconds and answers of each candidate, question by question, after `WARM_UP` that are not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in searches}
    found: dict[str, list[list[str]]] = {name: [] for name in searches}
    names = list(searches)
    for turn, first in enumerate(range(0, len(questions), RUN)):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            for question in questions[first : first + RUN]:
                begin = clock()
                ids = searches[name](question)
                took = clock() - begin
                if first >= WARM_UP:
                    seconds[name].append(took)
                    found[name].append(ids)
    return seconds, found


def markdown(report: dict[str, Any]) -> str:
    lines = [
        "# One question: encoding and search",
        "",
        f"`{report['command']}` on {report['processor']}, {report['threads']} thread(s); "
        f"time.{report['clock']}.",
        "",
        f"{report['questions']} questions of SQuAD's dev part, one by one, in runs of {RUN}, the "
        f"{report['k']} best of {report['passages']:,} passages, the same weights and vectors everywhere; "
        f"ragkit's engine {report['engine']}, its encoder as {report['computed']}. Ratio: a candidate's time "
        f'over that of "{BASE}", question by question, median (quartiles). Recall: share of the passages of '
        "the exact search that it finds. Relevant: share of the questions whose relevant passage it finds.",
        "",
        f"| candidate | p50 ms | p95 ms | times {BASE} | recall@{report['k']} | relevant |",
        "|---|---:|---:|---|---:|---:|",
    ]
    for row in report["rows"]:
        lines.append(
            f"| {row['name']} | {row['p50_ms']:.2f} | {row['p95_ms']:.2f} | "
            f"{Spread(**row['ratio']).cell()} | {row['recall']:.3f} | {row['relevant']:.3f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--index", type=Path, required=True, action="append")
    arguments.add_argument("--data", type=Path, default=Path("../shared/data/squad"))
    arguments.add_argument("--questions", type=int, default=300)
    arguments.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    arguments.add_argument("-k", type=int, default=5)
    report = measure(arguments.parse_args())
    write_results("query_speed", report, markdown(report))


if __name__ == "__main__":
    main()
