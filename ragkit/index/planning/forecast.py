"""What was measured of a recipe's engine on a sample, as what is expected of it with the whole."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np

from ragkit.index.faiss_index import training_rows
from ragkit.index.planning.candidates import Candidate, is_exact
from ragkit.index.planning.laws import Recall, affine_law, power_law, recall_of, scan_law
from ragkit.index.planning.measure import Measured
from ragkit.index.planning.row import Row
from ragkit.index.planning.sample import K, Sample

STEEPEST_SCAN, STEEPEST_WALK, STEEPEST_ADD = 1.25, 0.5, 1.25
"""Exponents of n, at most: exact search reads every vector, and caches serve more vectors worse; a graph's
walk grows little faster than log n."""


def forecast(measured: list[Measured], sample: Sample, trained: int) -> Iterator[Row]:
    """A row for each candidate of one recipe. `trained`: how many vectors its engine was trained on."""
    of: dict[Candidate, list[Measured]] = defaultdict(list)
    for one in measured:
        of[one.candidate].append(one)
    for candidate, fills in of.items():
        choice = candidate.choice(sample.passages, sample.others.shape[1])
        last = fills[-1]
        p50, p95, ram, build = last.p50, last.p95, last.size, last.train + last.add
        fall, times = None, 1.0
        if not sample.whole:
            few, many, _ = fills
            sizes = few.passages, many.passages
            p50, p95 = (_seconds(name, candidate, of, sample.passages) for name in ("p50", "p95"))
            ram = affine_law(sample.passages, sizes, (few.size, many.size))
            used = min(sample.passages, training_rows(choice.factory))
            build = last.train * used / trained
            build += power_law(sample.passages, sizes, (few.add, many.add), STEEPEST_ADD)
            if candidate.beam is not None:
                fall = np.array([few.recalls, many.recalls])
                times = math.log(sample.passages / last.passages) / math.log(sizes[1] / sizes[0])
        exact = is_exact(choice.factory)
        recall = Recall(1.0, 1.0) if exact else recall_of(last.recalls, K, fall, times)
        yield Row(
            recipe=candidate.recipe, factory=choice.factory, search=choice.search, recall=recall.expected,
            bound=recall.bound, p50=p50, p95=p95, bytes_a_vector=ram / sample.passages, ram=ram, build=build,
        )  # fmt: skip


def _seconds(name: str, candidate: Candidate, of: Mapping[Candidate, list[Measured]], passages: int) -> float:
    """Of a search of the whole, from the engine with a part of the random vectors and with all of them."""
    few, many, _ = of[candidate]
    if candidate.share is None:
        times = [getattr(one, name) for one in (few, many)]
        steepest = STEEPEST_SCAN if candidate.beam is None else STEEPEST_WALK
        return power_law(passages, (few.passages, many.passages), times, steepest)
    alike = [
        one for key, fills in of.items() if key.refined == candidate.refined
        for one in fills[:2] if not math.isnan(one.scanned)
    ]  # fmt: skip
    shares = np.array([float(one.candidate.share or 0) for one in alike])
    scanned = np.array([one.scanned for one in alike])
    crowded = float(np.mean(scanned / (shares * [one.passages for one in alike])))
    seconds = np.array([getattr(one, name) for one in alike])
    share = float(candidate.share)
    target = np.array([[share, crowded * share * passages]])
    return float(scan_law(np.column_stack([shares, scanned]), seconds, target)[0])
