"""An index's vectors in fewer bytes: what each way keeps of recall@10, beside the cheapest honest baselines.

    python -m eval.compress.indexes --data DATA --indexes INDEXES [--sets scifact squad] [--sizes 192 96 48]

Writes eval/results/compress_indexes.{json,md}. The projections learn from the index's passages and the
questions of the tuning split; the test split is asked once.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eval.cells import difference, interval
from eval.compress.autoencoders import OBJECTIVES, autoencoder
from eval.printed import RESULTS, last_run
from eval.retrieval.sets import SUITES, Suite, index_of, questions_of, vectors_of
from ragkit.evaluation.statistics import compare
from ragkit.training.compression.indexes import (
    ANCHORS,
    SIMILARITY,
    learnt_matrix,
    live_vectors,
    relevant_positions,
)
from ragkit.training.compression.similarity import principal_axes
from ragkit.training.compression.ways import Measured, Way, measure, usual_ways


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--indexes", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["scifact", "squad"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[192, 96, 48])
    parser.add_argument("--kept", type=Path, default=Path("runs/compress"), help="question vectors")
    given = parser.parse_args()
    target = RESULTS / "compress_indexes.json"
    done = last_run(target)
    for name in given.sets:
        done[name] = run(SUITES[name], given.data, given.indexes, given.sizes, given.kept)
        target.write_text(json.dumps(done, indent=1) + "\n")
    target.with_suffix(".md").write_text(report(done))


def run(suite: Suite, data: Path, indexes: Path, sizes: list[int], kept: Path) -> dict[str, Any]:
    index = index_of(suite, data, indexes)
    passages = live_vectors(index)
    cosine = index.encoder.similarity == "cosine"
    test = questions_of(suite, suite.test, data, suite.sample)
    relevant = relevant_positions(index, [list(question.relevant) for question in test])
    asked = vectors_of(index, test, kept / f"{suite.name}_{suite.test}.npz")
    training = None
    if suite.tuning is not None:
        drawn = questions_of(suite, suite.tuning, data, ANCHORS)
        training = vectors_of(index, drawn, kept / f"{suite.name}_{suite.tuning}.npz")
    ways = usual_ways(passages.shape[1], sizes[0])
    for size in sizes:
        if size != sizes[0]:
            ways.append(Way(f"pca{size} centred + sq8", f"PCA{size},SQ8"))
        ways.append(Way(f"pca{size} uncentred + sq8", "SQ8", principal_axes(passages, size), cosine))
        learnt = learnt_matrix(index, passages, size, training)
        ways.append(Way(f"{SIMILARITY}{size} + sq8", "SQ8", learnt, cosine))
    for objective in OBJECTIVES:
        code = autoencoder(passages, sizes[0], objective)
        ways.append(Way(f"{objective}{sizes[0]} + sq8", "SQ8", code, cosine))
    found = measure(ways, passages, asked, relevant)
    nearest = measure(ways, passages, asked)
    return {
        "title": suite.title,
        "split": suite.test,
        "questions": len(test),
        "passages": len(passages),
        "encoder": index.manifest.passport.precision or "fp32",
        "rows": [row(a, b) for a, b in zip(found, nearest, strict=True)],
        "against": against(found),
    }


def row(found: Measured, nearest: Measured) -> dict[str, Any]:
    return {
        "way": found.way.name,
        "bytes": found.bytes_a_vector,
        "megabytes": found.size / 1e6,
        "recall": asdict(found.recall),
        "kept": found.kept,
        "difference": asdict(found.difference),
        "nearest": asdict(nearest.recall),
        "p50": found.p50,
    }


def against(found: list[Measured]) -> list[dict[str, Any]]:
    """The similarity-keeping projection against every other way of as many bytes, paired."""
    pairs = []
    for one in found:
        if one.way.name.startswith(SIMILARITY):
            same = [o for o in found if o.bytes_a_vector == one.bytes_a_vector and o is not one]
            pairs += [
                {"way": one.way.name, "baseline": o.way.name}
                | asdict(compare("recall@10", o.recalls, one.recalls))
                for o in same
            ]
    return pairs


def report(done: dict[str, Any]) -> str:
    lines = [
        "# Vectors in fewer bytes",
        "",
        "`python -m eval.compress.indexes --data DATA --indexes INDEXES`: packaged encoder, dense search",
        "alone, test questions. R@10: the relevant passages among ten; kept: of the exact engine's;",
        "nearest: the share of the ten nearest vectors found. Brackets: 95 % bootstrap intervals over",
        "questions. p50: one search, all ways in turn, on a machine with other work: read it as ratios. The",
        "projections learnt from the index's passages and questions of the tuning split.",
    ]
    for found in done.values():
        lines += [
            "",
            f"## {found['title']}: {found['passages']:,} passages, {found['questions']:,} questions",
            "",
            "| way | bytes a vector | MB | R@10 | kept | difference to exact | nearest | p50 ms |",
            "|---|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {r['way']} | {r['bytes']} | {r['megabytes']:.2f} | {interval(r['recall'])} | "
            f"{r['kept']:.1%} | {difference(r['difference'])} | {r['nearest']['mean']:.3f} | "
            f"{1000 * r['p50']:.2f} |"
            for r in found["rows"]
        ]
        lines += [
            "",
            "The similarity-keeping projection against ways of as many bytes (paired):",
            "",
            "| bytes | baseline | difference in R@10 | p |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {p['way']} | {p['baseline']} | {difference({'difference': p['difference']})} | {p['p']:.4f} |"
            for p in found["against"]
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
