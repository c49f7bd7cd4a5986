"""How long one question takes, encoding and search: ragkit against what people use instead.

    python -m eval.speed.queries --index runs/indexes/squad [--data ../shared/data/squad] [--questions 300]
                                 [--threads N] [-k 5]

Every candidate has the same weights (all-MiniLM-L6-v2) and the same passages with the same vectors, those of
the index; it gets a question as text and gives its k best passages with their texts. Peers: txtai, Haystack,
LangChain with FAISS, and sentence-transformers with a bare FAISS index (`peers.py`). ragkit searches as
`Index.search` does, by meaning alone (dense), which is what the peers do, and by meaning and words (hybrid),
its default.

Questions of SQuAD's dev part come one by one, each put to all candidates before the next, the first of them
another one each time. Ratios are question by question, median and quartiles. Agreement: the mean share of a
candidate's k best that sentence-transformers with FAISS finds too.

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
from ragkit.encoders.sentence import passage_text
from ragkit.retrieval.index import Index, Mode

WARM_UP = 10
BASE = "ragkit, dense"
EXACT = "sentence-transformers + FAISS"


def candidates(index: Index, k: int) -> dict[str, Search]:
    def ragkit(mode: Mode, question: str) -> list[str]:
        return [hit.passage.id for hit in index.search(question, k, mode=mode)]

    found: dict[str, Search] = {BASE: partial(ragkit, "dense"), "ragkit, hybrid": partial(ragkit, "hybrid")}
    rows = range(len(index))
    texts = [(passage.id, passage_text(passage.title, passage.text)) for passage in index.passages(rows)]
    vectors = index.passage_vectors()(np.arange(len(index)))
    absent = missing()
    if absent:
        print(f"left out: {', '.join(absent)}; pip install -c constraints.txt -e '.[peers]'")
    for name, build in PEERS.items():
        if name not in absent:
            found[name] = build(str(packaged_folder()), texts, vectors, k)
    return found


def measure(options: argparse.Namespace) -> dict[str, Any]:
    import torch

    torch.set_num_threads(options.threads)
    clock: Clock = time.process_time if options.threads == 1 else time.perf_counter
    index = Index.open(options.index)
    asked = load_questions(options.data, "dev").questions
    chosen = np.random.default_rng(0).permutation(len(asked))[: WARM_UP + options.questions]
    questions = [asked[i].text for i in chosen]
    searches = candidates(index, options.k)
    seconds, found = ask(searches, questions, clock)
    exact = found[EXACT]
    rows = []
    for name, times in seconds.items():
        cuts = statistics.quantiles(times, n=20)
        shared = [len(set(mine) & set(wanted)) for mine, wanted in zip(found[name], exact, strict=True)]
        rows.append(
            {
                "name": name,
                "p50_ms": 1000 * statistics.median(times),
                "p95_ms": 1000 * cuts[18],
                "ratio": vars(ratio(times, seconds[BASE])),
                "agreement": statistics.mean(shared) / options.k,
            }
        )
    return {
        "command": f"python -m eval.speed.queries --index {options.index} --data {options.data} --questions "
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
    for turn, question in enumerate(questions):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            begin = clock()
            ids = searches[name](question)
            took = clock() - begin
            if turn >= WARM_UP:
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
        f"{report['questions']} questions of SQuAD's dev part, one by one, the {report['k']} best of "
        f"{report['passages']:,} passages, the same weights and vectors everywhere; ragkit's engine "
        f"{report['engine']}, its encoder as {report['computed']}. Ratio: a candidate's time over that of "
        f'"{BASE}", question by question, median (quartiles). Agreement: share of the passages that the '
        "exact search finds too.",
        "",
        f"| candidate | p50 ms | p95 ms | times {BASE} | agreement |",
        "|---|---:|---:|---|---:|",
    ]
    for row in report["rows"]:
        lines.append(
            f"| {row['name']} | {row['p50_ms']:.2f} | {row['p95_ms']:.2f} | "
            f"{Spread(**row['ratio']).cell()} | {row['agreement']:.3f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--index", type=Path, required=True)
    arguments.add_argument("--data", type=Path, default=Path("../shared/data/squad"))
    arguments.add_argument("--questions", type=int, default=300)
    arguments.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    arguments.add_argument("-k", type=int, default=5)
    report = measure(arguments.parse_args())
    write_results("query_speed", report, markdown(report))


if __name__ == "__main__":
    main()
