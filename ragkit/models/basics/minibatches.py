"""Minibatches: φ ← φ - α Σ_{i∈B} ∂l_i/∂φ, the batches B drawn without replacement. Row 28.

Each epoch shuffles the items anew and cuts the order into batches, so that every item is used once an epoch
and all contribute equally. The notes sum over the batch; libraries take its mean, which keeps the step's size
apart from the batch's: `reduced` does either.
"""

from typing import Literal

import torch
from torch import Tensor

from ragkit.errors import RagkitError


def minibatches(items: int, size: int, generator: torch.Generator | None = None) -> list[Tensor]:
    """Rows 0 .. items-1 in random order, cut into batches of `size`; the last may be smaller.

    Raises:
        RagkitError: if `size` is not positive.
    """
    if size < 1:
        raise RagkitError(f"a batch of {size} items: give 1 or more")
    return list(torch.randperm(items, generator=generator).split(size))


def reduced(losses: Tensor, variant: Literal["standard", "notes"] = "standard") -> Tensor:
    """(items,) losses as one: their mean; as the notes have it, their sum."""
    return losses.sum() if variant == "notes" else losses.mean()
