"""What the speed programs share: interleaved runs, ratios with their spread, and the machine's own limits.

Two clocks serve: `time.perf_counter`, what a user waits, for a quiet machine; and `time.process_time`, the
processor's, summed over threads, which other work on the machine touches little.
"""

import json
import math
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from eval.printed import RESULTS

Clock = Callable[[], float]
Precision = Literal["float32", "bfloat16", "int8"]
SIDE = 1536
"""Of the square matrices whose product shows the limit: large enough to be bound by arithmetic."""


def interleaved(
    candidates: Mapping[str, Callable[[], object]], rounds: int, clock: Clock = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of each candidate in each round, after one run of each that is not counted.

    All candidates run in every round, so that whatever slows the machine down meets them all, and each round
    begins with another one, so that none always finds the caches as the same other one left them.
    """
    for run in candidates.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    names = list(candidates)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            begin = clock()
            candidates[name]()
            seconds[name].append(clock() - begin)
    return seconds


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of one number a round."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Raises ValueError without values."""
        if not values:
            raise ValueError("no values")
        several = values if len(values) > 1 else [*values, *values]
        low, median, high = statistics.quantiles(several, n=4, method="inclusive")
        return cls(median, low, high)

    def cell(self, digits: int = 2) -> str:
        """Of a table."""
        return f"**{self.median:.{digits}f}** ({self.low:.{digits}f} to {self.high:.{digits}f})"


def ratio(a: Sequence[float], b: Sequence[float]) -> Spread:
    """How many times b's seconds a took, round by round: below 1 where a is faster."""
    return Spread.of([x / y for x, y in zip(a, b, strict=True)])


def matrix_product_gflops(
    precision: Precision,
    threads: int,
    seconds: float = 1.0,
    clock: Clock = time.perf_counter,
    shape: tuple[int, int, int] = (SIDE, SIDE, SIDE),
) -> float:
    """GFLOP/s (for int8 GOP/s) of torch's product of two matrices, n x m by m x k, the fastest of the runs
    that fit into `seconds`: what arithmetic in this precision can reach on this machine. With
    `time.process_time` it is a thread's share."""
    import torch

    dtype = getattr(torch, precision)
    if precision == "int8":
        a, b = (torch.randint(-127, 127, size, dtype=dtype) for size in (shape[:2], shape[1:]))
    else:
        a, b = (torch.rand(size).to(dtype) for size in (shape[:2], shape[1:]))
    product = torch._int_mm if precision == "int8" else torch.mm
    return 2 * math.prod(shape) / _fastest(lambda: product(a, b), threads, seconds, clock) / 1e9


def read_bandwidth(size: int, threads: int, seconds: float = 1.0, clock: Clock = time.perf_counter) -> float:
    """GB/s at which an array of `size` bytes is summed, the fastest of the runs that fit into `seconds`: what
    an exact search for one question can reach where its vectors take as much."""
    import torch

    array = torch.rand(max(1, size // 4))
    return array.nbytes / _fastest(array.sum, threads, seconds, clock) / 1e9


def processor() -> str:
    """The name of the machine's processor."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def write_results(name: str, report: Mapping[str, Any], markdown: str) -> None:
    """As eval/results/NAME.json and .md, and the latter to the terminal."""
    (RESULTS / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n")
    (RESULTS / f"{name}.md").write_text(markdown)
    print(markdown)


def _fastest(run: Callable[[], object], threads: int, seconds: float, clock: Clock) -> float:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        run()
        best, until = float("inf"), time.perf_counter() + seconds
        while best == float("inf") or time.perf_counter() < until:
            begin = clock()
            run()
            best = min(best, clock() - begin)
        return best
    finally:
        torch.set_num_threads(before)
