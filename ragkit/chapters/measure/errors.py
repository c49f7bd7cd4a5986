"""Rows 36, 38-40: splits, the sources of error, what reduces them, and double descent."""

import math
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from ragkit.chapters.data import digits
from ragkit.models.measure.bias_variance import Parts, decompose, least_squares, linear_variance
from ragkit.models.measure.double_descent import noisy_labels, ridgeless_error
from ragkit.models.measure.splits import grouped_split

NOISE = 0.3
"""Standard deviation of the labels around the truth."""
PLACES = torch.linspace(0.05, 0.95, 91, dtype=torch.float64)
DATA_SETS = 400
ITEMS, FLIPPED = 500, 0.15
WIDTHS = (50, 100, 200, 300, 400, 450, 475, 500, 525, 550, 600, 800, 1000, 2000, 4000)


def splits() -> dict[str, float | list[float]]:
    """Row 36: 4,000 items in 400 groups of very different sizes, then 200 more groups."""
    from sklearn.model_selection import GroupShuffleSplit

    rng = np.random.default_rng(0)
    groups = [f"article {number}" for number in (400 * rng.random(4000) ** 2).astype(int)]
    grown = [*groups, *(f"article {number}" for number in rng.integers(400, 600, 1000))]
    shared, moved, off = 0, 0, []
    for seed in (0, 1, 2):
        parts, later = grouped_split(groups, seed=seed), grouped_split(grown, seed=seed)
        of_groups = [{groups[i] for i in part} for part in parts]
        shared += sum(len(a & b) for k, a in enumerate(of_groups) for b in of_groups[:k])
        moved += sum(
            len(set(part.tolist()) - set(new.tolist())) for part, new in zip(parts, later, strict=True)
        )
        splitter = GroupShuffleSplit(1, train_size=0.8, random_state=seed)
        theirs = next(splitter.split(groups, groups=groups))[0]
        theirs_share = len({groups[i] for i in theirs}) / len(set(groups))
        off.append(abs(len(of_groups[0]) / len(set(groups)) - theirs_share))
    return {"groups in two parts": shared, "items moved by new data": moved, "share off sklearn's": off}


def truth(x: Tensor) -> Tensor:
    return torch.sin(2 * torch.pi * x)


def hinges(x: Tensor, capacity: int) -> Tensor:
    """A piecewise linear function of `capacity` pieces, as features (..., capacity + 1)."""
    joints = torch.linspace(0, 1, capacity + 1, dtype=x.dtype)[:-1]
    return torch.cat([torch.ones_like(x)[..., None], torch.relu(x[..., None] - joints)], dim=-1)


def fitted(capacity: int, items: int, generator: torch.Generator) -> Tensor:
    """What the models of DATA_SETS data sets say at PLACES: (data sets, places)."""
    predictions = []
    for _ in range(DATA_SETS):
        x = torch.rand(items, generator=generator, dtype=torch.float64)
        y = truth(x) + NOISE * torch.randn(items, generator=generator, dtype=torch.float64)
        predictions.append(hinges(PLACES, capacity) @ least_squares(hinges(x, capacity), y[:, None])[:, 0])
    return torch.stack(predictions)


def parts_of(capacity: int, items: int, generator: torch.Generator) -> Parts:
    return decompose(fitted(capacity, items, generator), truth(PLACES), NOISE**2)


def sources_of_error() -> dict[str, list[float]]:
    """Row 38: the error on labels drawn anew beside its parts; on fixed inputs also the closed form."""
    apart, off = [], []
    for seed in (0, 1, 2):
        generator = torch.Generator().manual_seed(seed)
        predictions = fitted(4, 60, generator)
        labels = truth(PLACES) + NOISE * torch.randn(
            predictions.shape, generator=generator, dtype=torch.float64
        )
        measured = float((predictions - labels).square().mean())
        apart.append(abs(decompose(predictions, truth(PLACES), NOISE**2).total / measured - 1))
        x = hinges(torch.rand(60, generator=generator, dtype=torch.float64), 4)
        noise = NOISE * torch.randn(60, 20 * DATA_SETS, generator=generator, dtype=torch.float64)
        places = hinges(PLACES, 4)
        predicted = (places @ least_squares(x, noise)).mT
        parts = decompose(predicted, torch.zeros(len(PLACES), dtype=torch.float64), NOISE**2)
        off.append(abs(parts.variance / float(linear_variance(x, places, NOISE**2).mean()) - 1))
    return {"parts / measured error - 1": apart, "variance / closed form - 1": off}


def reducing_error() -> dict[str, float | list[float]]:
    """Row 39: variance over the number of items, bias² over the number of pieces."""
    slopes, rises, ratios = [], 0, []
    for seed in (0, 1, 2):
        generator = torch.Generator().manual_seed(seed)
        sizes = [50, 100, 200, 400]
        variances = [parts_of(6, items, generator).variance for items in sizes]
        slopes.append(float(np.polyfit(np.log(sizes), np.log(variances), 1)[0]))
        biases = [parts_of(capacity, 400, generator).bias_squared for capacity in (1, 3, 6, 12)]
        rises += sum(b > a for a, b in pairwise(biases))
        ratios.append(biases[0] / abs(biases[-1]))
    return {
        "slope of log variance over log N": slopes,
        "capacities that raise bias²": rises,
        "bias² of the least capacity / most": ratios,
    }


Labelled = tuple[Tensor, Tensor]


def noisy_digits(seed: int) -> tuple[Labelled, Labelled]:
    """500 digits to learn from, 15 % of their labels wrong, and the others to test on, in float64."""
    data = digits(test_share=1 - ITEMS / 1797)
    noisy = noisy_labels(data.train_y[:ITEMS], FLIPPED, torch.Generator().manual_seed(seed))
    return (data.train_x[:ITEMS].double(), noisy), (data.test_x.double(), data.test_y)


def descent(seed: int) -> dict[int, float]:
    """Test error by width."""
    train, test = noisy_digits(seed)
    return {
        width: ridgeless_error(train, test, width, torch.Generator().manual_seed(seed)) for width in WIDTHS
    }


def double_descent() -> dict[str, list[float]]:
    """Row 40."""
    peaks: list[float] = []
    before: list[float] = []
    after: list[float] = []
    for seed in (0, 1, 2):
        errors = descent(seed)
        peak = max(errors, key=lambda width: errors[width])
        peaks.append(peak / ITEMS)
        before.append(
            errors[peak] / min([e for width, e in errors.items() if width < peak], default=math.nan)
        )
        after.append(errors[peak] / min([e for width, e in errors.items() if width > peak], default=math.nan))
    return {"width of the peak / items": peaks, "peak / lowest before": before, "peak / lowest after": after}
