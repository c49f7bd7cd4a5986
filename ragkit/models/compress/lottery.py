"""Lottery tickets: a mask m whose network, from the weights θ_0 that it was drawn with, trains as well as the
dense one. Row 147 (Frankle and Carbin 2019).

    repeat:  θ ← train(m ⊙ θ_0);   m ← the largest share r of |θ| that m left          (rewind to θ_0)

f(x; m ⊙ θ_0) reaches at step j' <= j an accuracy a' >= a with ‖m‖₀ ≪ |θ| (the notes' ‖m_0‖). The same mask
with weights drawn anew does not: the ticket is mask and start together.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import nn

from ragkit.models.compress.magnitude import Masks, left, matrices, share_mask

Train = Callable[[nn.Module, Masks], None]
"""Trains the model in place; pruned weights stay 0."""


@dataclass(frozen=True)
class Ticket:
    """A masked network after its training, and the masks it was trained with."""

    masks: Masks
    trained: nn.Module

    @property
    def left(self) -> float:
        return left(self.masks)


def tickets(
    start: nn.Module, train: Train, *, keep: float = 0.8, keep_last: float | None = None
) -> Iterator[Ticket]:
    """The dense network, then ever smaller tickets, each trained from `start`, which stays as it is.

    Args:
        keep: share of each matrix's weights that a round leaves.
        keep_last: the same for the last matrix, which has few to spare; None: half as many are pruned there.
    """
    names = list(matrices(start))
    shares = dict.fromkeys(names, keep) | {names[-1]: keep_last or (1 + keep) / 2}
    masks: Masks = {name: torch.ones_like(p, dtype=torch.bool) for name, p in matrices(start).items()}
    while True:
        model = deepcopy(start)
        train(model, masks)
        yield Ticket(masks, model)
        trained = matrices(model)
        masks = {name: share_mask(trained[name], shares[name], masks[name]) for name in names}
