"""Learning-rate schedules: the factor of α at step t = 0, 1, 2, ... Row 29.

    step:    factor^⌊t / every⌋
    cosine:  ½ (1 + cos(π (t - w) / (T - w)))   after a linear warm-up t/w
    linear:  (T - t) / (T - w)                  after the same

The notes say "start larger, then decrease" and give no formula. Each schedule is a function of the step
alone, so a run that is resumed needs nothing but its step; `torch.optim.lr_scheduler.LambdaLR` takes it as
it is.
"""

import math
from collections.abc import Callable

from ragkit.errors import RagkitError

Schedule = Callable[[int], float]


def step_decay(every: int, factor: float) -> Schedule:
    """Multiplies the rate with `factor` after each `every` steps."""
    return lambda step: factor ** (step // every)


def cosine(total: int, warm_up: int = 0) -> Schedule:
    """Down half a cosine to 0 at step `total`."""
    return _after_warm_up(total, warm_up, lambda share: 0.5 * (1 + math.cos(math.pi * share)))


def linear(total: int, warm_up: int = 0) -> Schedule:
    """Down a straight line to 0 at step `total`."""
    return _after_warm_up(total, warm_up, lambda share: 1 - share)


def _after_warm_up(total: int, warm_up: int, fall: Callable[[float], float]) -> Schedule:
    if not 0 <= warm_up < total:
        raise RagkitError(f"{warm_up} steps of warm-up of {total}: give fewer than there are")

    def factor(step: int) -> float:
        if step < warm_up:
            return step / warm_up
        return fall(min(1.0, (step - warm_up) / (total - warm_up)))

    return factor
