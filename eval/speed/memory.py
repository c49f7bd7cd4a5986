"""How much memory building an index takes, and how search time grows with its size.

    OMP_NUM_THREADS=1 python -m eval.speed.memory [--sizes 10000,100000,1000000] [--engines hnsw,ivf-sq8]
                                                  [--dimension 64] [--folder DIR]

Builds indexes of made-up passages (75 words of Zipf's frequencies) with a stand-in encoder, whose vectors are
clustered random ones, each in a process of its own, lexical part included. Peak memory is what the process
has to itself (RssAnon of /proc/PID/status, looked at 100 times a second), less what it had before the build:
Python, FAISS and the other libraries. Pages of files that are mapped into memory are not counted: the system
takes them back whenever it needs room. What a build takes beyond its engine is then put as
constant + bytes a passage, through the smallest and the largest size.

A second process opens the index and asks 300 questions one by one; their times are the processor's.

Writes eval/results/memory.md and .json.
"""

import argparse
import os
import resource
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np

from eval.speed.measuring import processor, write_results
from ragkit.corpus.document import Document
from ragkit.encoders.encoder import Vectors
from ragkit.encoders.passport import Passport

MB = 1e6
QUESTIONS, WARM_UP, K = 300, 50, 10
CLUSTERS, SPREAD = 1000, 0.5
SENTENCES, WORDS, SENTENCES_A_PASSAGE, VOCABULARY = 20_000, 15, 5, 50_000


class Synthetic:
    """An encoder whose vectors, of length one, lie about some centres, whatever the text."""

    similarity: Literal["cosine"] = "cosine"
    tokenizer = None

    def __init__(self, dimension: int, seed: int = 0):
        self.dimension = dimension
        self._centres = np.random.default_rng(0).standard_normal((CLUSTERS, dimension), dtype=np.float32)
        self._rng = np.random.default_rng(seed)

    def encode_questions(self, questions: Sequence[str]) -> Vectors:
        vectors = self._centres[self._rng.integers(0, CLUSTERS, len(questions))]
        vectors = vectors + SPREAD * self._rng.standard_normal(vectors.shape, dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def encode_passages(self, passages: Sequence[tuple[str, str]]) -> Vectors:
        return self.encode_questions([text for _, text in passages])

    def passport(self) -> Passport:
        return Passport("synthetic", self.dimension, self.similarity, "synthetic", "words", "none")


def documents(count: int) -> Iterator[Document]:
    """Records of a passage each, no two alike."""
    rng = np.random.default_rng(0)
    frequencies = 1 / np.arange(1, VOCABULARY + 1)
    words = rng.choice(VOCABULARY, (SENTENCES, WORDS), p=frequencies / frequencies.sum())
    sentences = [" ".join(f"w{word}" for word in row) + "." for row in words.tolist()]
    for number in range(count):
        chosen = rng.integers(0, SENTENCES, SENTENCES_A_PASSAGE).tolist()
        text = " ".join([f"Record {number}.", *(sentences[i] for i in chosen)])
        yield Document(str(number), text, splittable=False)


def in_own_process(function: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def own_memory() -> float:
    """Bytes that this process has to itself now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return 1024 * float(line.split()[1])
    raise SystemExit("this system does not say what memory a process has to itself (no RssAnon)")


class Peak:
    """The most memory that this process had to itself within a `with`, and how much it was before."""

    def __enter__(self) -> "Peak":
        self.before = self.most = own_memory()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            self.most = max(self.most, own_memory())


def build(size: int, engine: str, dimension: int, folder: Path) -> dict[str, Any]:
    import bm25s
    import faiss  # noqa: F401  # all libraries are there before the first look
    import scipy.sparse  # noqa: F401
    import Stemmer  # noqa: F401

    from ragkit.corpus import splitting  # noqa: F401
    from ragkit.index.stored import StoredIndex
    from ragkit.index.vector_files import LISTS

    bm25s.tokenize(["warm up"], show_progress=False)
    stages: dict[str, float] = {}
    with Peak() as peak:

        def watch(event: Any) -> None:
            stages[event.stage] = max(stages.get(event.stage, 0.0), own_memory() - peak.before)

        begin = time.process_time()
        index = StoredIndex.build(
            documents(size), folder, encoder=Synthetic(dimension), factory=engine, on_event=watch
        )
        seconds = time.process_time() - begin
    info = index.info()
    files = index.manifest.files
    lists = files[LISTS].size if LISTS in files else 0
    return {
        "factory": info.factory,
        "passages": size,
        "peak": peak.most - peak.before,
        "libraries": peak.before,
        "stages": stages,
        "resident_with_files": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "engine": info.vector_size - lists,
        "lists": lists,
        "cache": info.cache_size,
        "rest": info.size - info.vector_size,
        "processor_seconds": seconds,
        "stage_seconds": info.seconds,
    }


def search(dimension: int, folder: Path) -> dict[str, Any]:
    import faiss  # noqa: F401

    from ragkit.index.stored import StoredIndex

    questions = Synthetic(dimension, seed=1).encode_questions([""] * (WARM_UP + QUESTIONS))
    with Peak() as peak:
        index = StoredIndex.open(folder)
        times = []
        for question in questions:
            begin = time.process_time()
            index.dense_candidates(question[None], K)
            times.append(time.process_time() - begin)
    cuts = statistics.quantiles(times[WARM_UP:], n=20)
    return {"p50": cuts[9], "p95": cuts[18], "search_peak": peak.most - peak.before}


def beyond_engine(row: dict[str, Any]) -> float:
    """Bytes at the peak of a build besides what the engine keeps in memory."""
    return row["peak"] - row["engine"]


def law(rows: list[dict[str, Any]]) -> tuple[float, float]:
    """Constant and bytes a passage of what a build takes beyond its engine."""
    small, large = rows[0], rows[-1]
    if small is large:
        return beyond_engine(small), 0.0
    slope = (beyond_engine(large) - beyond_engine(small)) / (large["passages"] - small["passages"])
    return beyond_engine(small) - slope * small["passages"], slope


def markdown(report: dict[str, Any]) -> str:
    lines = [
        "# Memory of a build, and search time by size",
        "",
        f"`{report['command']}` on {report['processor']}, {report['threads']} thread(s).",
        "",
        f"Made-up passages of {SENTENCES_A_PASSAGE * WORDS} words, vectors of {report['dimension']} "
        "dimensions; megabytes of 1,000,000 bytes. Peak: memory of the process's own, its libraries (column "
        "of their own) left out; mapped files are not counted, and lists of an engine that outgrew memory "
        f"are mapped. Search: one question at a time, processor milliseconds, the {K} best.",
        "",
        "| engine | passages | peak MB | engine MB | mapped lists MB | peak less engine MB | libraries MB | "
        "cache MB | texts and lexical MB | build s | search p50 ms | p95 ms | search's peak MB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in (row for rows in report["engines"].values() for row in rows):
        sizes = [row[name] for name in ("peak", "engine", "lists")] + [beyond_engine(row)]
        sizes += [row[name] for name in ("libraries", "cache", "rest")]
        lines.append(
            f"| {row['factory']} | {row['passages']:,} | "
            + " | ".join(f"{size / MB:,.0f}" for size in sizes)
            + f" | {row['processor_seconds']:,.0f} | {1000 * row['p50']:.3f} | {1000 * row['p95']:.3f} | "
            f"{row['search_peak'] / MB:,.0f} |"
        )
    lines.append("")
    for name, rows in report["engines"].items():
        constant, slope = law(rows)
        times = rows[-1]["p50"] / rows[0]["p50"]
        lines.append(
            f"- {name}: a build takes its engine, {constant / MB:.0f} MB and {slope:.0f} bytes a passage; "
            f"p50 at {rows[-1]['passages']:,} passages is {times:.1f} times that at {rows[0]['passages']:,}."
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--sizes", default="10000,100000,1000000")
    arguments.add_argument("--engines", default="hnsw,ivf-sq8")
    arguments.add_argument("--dimension", type=int, default=64)
    arguments.add_argument("--folder", type=Path, help="where indexes are written and deleted again")
    options = arguments.parse_args()
    report: dict[str, Any] = {
        "command": f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', '')} python -m eval.speed.memory "
        f"--sizes {options.sizes} --engines {options.engines} --dimension {options.dimension}",
        "processor": processor(),
        "threads": os.environ.get("OMP_NUM_THREADS", os.cpu_count()),
        "dimension": options.dimension,
        "engines": {},
    }
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
    for engine in options.engines.split(","):
        rows = report["engines"][engine] = []
        for size in map(int, options.sizes.split(",")):
            folder = Path(tempfile.mkdtemp(dir=options.folder))
            try:
                built = in_own_process(build, size, engine, options.dimension, folder)
                rows.append(built | in_own_process(search, options.dimension, folder))
            finally:
                shutil.rmtree(folder)
            print(engine, size, rows[-1], flush=True)
    write_results("memory", report, markdown(report))


if __name__ == "__main__":
    main()
