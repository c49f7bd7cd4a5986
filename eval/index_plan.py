"""Whether the index planner keeps what it promises: recall, speed, memory and build time, as they turn out.

    OMP_NUM_THREADS=1 python -m eval.index_plan --index PATH [--index PATH] [--questions DATASET]...
                                                [--made-up 1000000] [--recall 0.9,0.95,0.99]

For each index, and for made-up vectors of 64 dimensions about 1000 centres, an engine is planned
for each goal of recall, as `ragkit index plan` does. Then the engine that was chosen is built
on all vectors and asked other questions: sentences of other passages, the questions of a data set where one
is given (one an index, in the same order), other made-up vectors. Its recall of the ten nearest is measured
against exact search over all vectors.

Times of searches are the processor's, on one thread. Writes eval/results/index_plan.md and .json; sets of
earlier runs stay in them.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eval.printed import RESULTS, last_run
from eval.speed.measuring import processor, write_results
from ragkit.corpus.questions import load_questions
from ragkit.index.faiss_index import FaissIndex, added_at_once, training_rows
from ragkit.index.planning.goals import Goals
from ragkit.index.planning.measure import one_thread, size_of, timed_searches
from ragkit.index.planning.plan import Plan, plan_vectors
from ragkit.index.planning.questions import Questions, live_rows, questions_of
from ragkit.index.planning.row import Row
from ragkit.index.planning.sample import Fetch, Nearest
from ragkit.index.stored import StoredIndex
from ragkit.index.vector_index import Ids

STORED = RESULTS / "index_plan.json"
DIMENSION, CENTRES, SPREAD = 64, 1000, 0.5
ASKED = 1000
RESAMPLES = 1000
NEAR = 0.02
"""The bar: so far from what was promised a measured recall may be."""


@dataclass(frozen=True)
class Vectors:
    """A set to plan for."""

    name: str
    fetch: Fetch
    rows: Ids
    planned: Questions
    """What the plan asks."""
    asked: list[Questions]
    """What the engine is asked that was built from it."""


def of_index(path: Path, questions: Path | None) -> Vectors:
    index = StoredIndex.open(path)
    asked = [questions_of(index, seed=1, count=ASKED)]
    if questions is not None:
        found = load_questions(questions)
        asked.append(questions_of(index, [one.text for one in found.questions], found.name, 1, ASKED))
    return Vectors(path.name, index.passage_vectors(), live_rows(index), questions_of(index), asked)


def made_up(count: int) -> Vectors:
    centres = np.random.default_rng(0).standard_normal((CENTRES, DIMENSION), dtype=np.float32)

    def draw(n: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        vectors = centres[rng.integers(0, CENTRES, n)]
        vectors += SPREAD * rng.standard_normal(vectors.shape, dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    passages = draw(count, 1)
    planned, asked = (Questions("made-up vectors", draw(n, seed)) for n, seed in ((300, 2), (ASKED, 3)))
    name = f"made-up, {DIMENSION} dimensions"
    return Vectors(name, passages.__getitem__, np.arange(count), planned, [asked])


def outcomes(vectors: Vectors, goals: list[float]) -> Iterator[dict[str, Any]]:
    """A row for each goal and kind of question."""
    begin = time.process_time()
    plan = plan_vectors(vectors.fetch, vectors.rows, vectors.planned, Goals(goals[0]))
    spent = time.process_time() - begin
    fetch = fetch_rows(vectors)
    positions = np.arange(len(vectors.rows))
    nearest = [Nearest.among(questions.vectors, fetch, positions) for questions in vectors.asked]
    for goal in goals:
        row = Plan(**{**vars(plan), "goals": Goals(goal)}).chosen
        engine, built = build(row, len(positions), fetch)
        for questions, exact in zip(vectors.asked, nearest, strict=True):
            found, times, _ = timed_searches(engine, questions.vectors)
            recalls = exact.recalls(found, fetch)
            cuts = statistics.quantiles(times, n=20)
            low, high = interval(recalls)
            yield {
                "set": vectors.name,
                "passages": len(positions),
                "measured_on": plan.sampled,
                "planning_seconds": spent,
                "goal": goal,
                "engine": row.name,
                "asked": questions.kind,
                "expected": row.recall,
                "bound": row.bound,
                "recall": float(recalls.mean()),
                "interval": [low, high],
                "p50": {"expected": row.p50, "measured": cuts[9]},
                "p95": {"expected": row.p95, "measured": cuts[18]},
                "bytes": {"expected": row.ram, "measured": size_of(engine)},
                "build": {"expected": row.build, "measured": built},
            }
            print(vectors.name, goal, row.name, questions.kind, recalls.mean(), flush=True)


def fetch_rows(vectors: Vectors) -> Callable[[Ids], np.ndarray]:
    """By position among the rows."""
    return lambda positions: vectors.fetch(vectors.rows[positions])


def build(row: Row, count: int, fetch: Fetch) -> tuple[FaissIndex, float]:
    """The engine with all vectors, trained and filled as an index's is, and the seconds it took."""
    dimension = fetch(np.arange(1)).shape[1]
    sample = np.random.default_rng(1).permutation(count)[: training_rows(row.factory)]
    begin = time.perf_counter()
    with one_thread():
        engine = FaissIndex(dimension, row.factory, row.search)
        engine.train(fetch(np.sort(sample)))
        step = added_at_once(row.factory, dimension) or count
        for at in range(0, count, step):
            rows = np.arange(at, min(at + step, count))
            engine.add(fetch(rows), rows)
    return engine, time.perf_counter() - begin


def interval(recalls: np.ndarray) -> tuple[float, float]:
    """95 %, by bootstrap over questions."""
    drawn = np.random.default_rng(0).integers(len(recalls), size=(RESAMPLES, len(recalls)))
    low, high = np.quantile(recalls[drawn].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def markdown(report: dict[str, Any]) -> str:
    lines = [
        "# The index planner: what it promises and what comes of it",
        "",
        *(f"- {name}: `{run['command']}` on {run['processor']}" for name, run in report.items()),
        "",
        "Recall of the ten nearest against exact search. The plan measures on so many vectors; what it says "
        "of the full size (recall expected, and at least; times, memory before the slash) and what the "
        "engine then has (measured; behind the slash). Recall is measured on other questions than the "
        "plan's, with a 95 % interval. The last column is what was measured less the recall that was asked "
        "for.",
        "",
        "| set | passages | plan measured on | asked | goal | engine chosen | expected | at least | measured "
        "| p50 ms | p95 ms | MB | build s | measured - goal |",
        "|---|---:|---:|---|---:|---|---:|---:|---|---|---|---|---|---:|",
    ]
    rows = [row for run in report.values() for row in run["rows"]]
    for row in rows:
        pairs = [
            f"{scale * row[name]['expected']:.3g} / {scale * row[name]['measured']:.3g}"
            for name, scale in (("p50", 1e3), ("p95", 1e3), ("bytes", 1e-6), ("build", 1))
        ]
        low, high = row["interval"]
        lines.append(
            f"| {row['set']} | {row['passages']:,} | {row['measured_on']:,} | {row['asked']} "
            f"| {row['goal']:g} | {row['engine']} | {row['expected']:.3f} | {row['bound']:.3f} "
            f"| **{row['recall']:.3f}** [{low:.3f}, {high:.3f}] | {' | '.join(pairs)} "
            f"| {row['recall'] - row['goal']:+.3f} |"
        )
    above = [row["recall"] - row["goal"] for row in rows]
    off = [abs(row["recall"] - row["expected"]) for row in rows]
    lines += [
        "",
        f"Of {len(rows)} lines, {sum(gap >= -NEAR for gap in above)} miss the goal by no more than {NEAR} "
        f"(the lowest {min(above):+.3f}), and {sum(gap <= NEAR for gap in off)} are within {NEAR} of the "
        f"recall that was expected (the farthest {max(off):.3f} off).",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--index", type=Path, action="append", default=[])
    arguments.add_argument("--questions", type=Path, action="append", default=[])
    arguments.add_argument("--made-up", type=int, default=0, metavar="VECTORS")
    arguments.add_argument("--recall", default="0.9,0.95,0.99")
    options = arguments.parse_args()
    goals = [float(goal) for goal in options.recall.split(",")]
    questions = [*options.questions, *[None] * len(options.index)]
    sets = [lambda i=i, q=q: of_index(i, q) for i, q in zip(options.index, questions, strict=False)]
    if options.made_up:
        sets.append(lambda: made_up(options.made_up))
    command = (
        "OMP_NUM_THREADS=1 python -m eval.index_plan "
        + "".join(f"--index {path} " for path in options.index)
        + "".join(f"--questions {path} " for path in options.questions)
        + (f"--made-up {options.made_up} " if options.made_up else "")
        + f"--recall {options.recall}"
    )
    for make in sets:
        vectors = make()
        run = {"command": command, "processor": processor(), "rows": list(outcomes(vectors, goals))}
        report = last_run(STORED) | {vectors.name: run}
        write_results("index_plan", report, markdown(report))


if __name__ == "__main__":
    main()
