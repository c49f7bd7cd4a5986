"""How long each of several candidates takes, in turn, so that what slows the machine down meets them all."""

import time
from collections.abc import Callable, Sequence

import numpy as np


def in_turn(
    candidates: Sequence[Callable[[int], object]],
    count: int,
    clock: Callable[[], float] = time.perf_counter,
) -> list[list[float]]:
    """Seconds of each candidate, called with 0 .. `count` - 1."""
    seconds: list[list[float]] = [[] for _ in candidates]
    for number in range(count):
        for run, spent in zip(candidates, seconds, strict=True):
            began = clock()
            run(number)
            spent.append(clock() - began)
    return seconds


def medians(candidates: Sequence[Callable[[int], object]], count: int) -> list[float]:
    """Median seconds of each candidate, see `in_turn`."""
    return [float(np.median(spent)) for spent in in_turn(candidates, count)]
