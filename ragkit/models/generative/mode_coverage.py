"""Coverage: how many modes a generator reaches, and which share of its samples is near one. Row 116.

A sample is good if it lies within `radius` of a centre; a mode is covered if `share` of all samples are good
ones of it (Srivastava et al. 2017, section 4.1, with a share in place of one sample, which noise could be).
The notes explain mode collapse by the generator's best answer to a fixed D, one x* = argmax_x D(x): the loss
then does not go "to zero" but to the value of that point, until D learns to tell it.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ragkit.errors import RagkitError


class Coverage(NamedTuple):
    """`modes` covered, the share `good` of the samples, and the good samples of each mode, (modes,)."""

    modes: int
    good: float
    counts: Tensor


def mode_coverage(samples: Tensor, centres: Tensor, radius: float, share: float = 0.01) -> Coverage:
    """Of samples (n, d) around centres (modes, d), each sample judged by its nearest one.

    Raises:
        RagkitError: if there is no sample, or the dimensions differ.
    """
    if not len(samples) or samples.shape[1:] != centres.shape[1:]:
        raise RagkitError(
            f"samples {tuple(samples.shape)} around centres {tuple(centres.shape)}: "
            "give (n, d) and (modes, d)"
        )
    distance, nearest = torch.cdist(samples, centres).min(dim=1)
    counts = nearest[distance <= radius].bincount(minlength=len(centres))
    return Coverage(int((counts >= share * len(samples)).sum()), counts.sum().item() / len(samples), counts)
