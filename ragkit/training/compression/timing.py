"""How long each of several candidates takes, in turn, so that what slows the machine down meets them all."""

import time
from collections.abc import Callable, Sequence

import numpy as np


def medians(candidates: Sequence[Callable[[int], object]], count: int) -> list[float]:
    """Median seconds of each candidate, called with 0 .. `count` - 1."""
    seconds: list[list[float]] = [[] for _ in candidates]
    for number in range(count):
        for run, spent in zip(candidates, seconds, strict=True):
            began = time.perf_counter()
            run(number)
            spent.append(time.perf_counter() - began)
    return [float(np.median(spent)) for spent in seconds]
