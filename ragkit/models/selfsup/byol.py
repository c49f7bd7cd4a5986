"""BYOL: 2 - 2 cos(q(f_θ(v)), f_ξ(v')), ξ ← τξ + (1 - τ)θ. Row 71.

f_θ learns; f_ξ is its moving average and gets no gradient; the predictor q stands on the learning side only
(Grill et al. 2020). The notes feed "the same input" to both: it is two views of it, each going both ways.
Without negatives the constant is a solution; the predictor and the slow target keep training away from it.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional


class Byol(nn.Module):
    """An encoder with its projector (inputs to (batch, size)), the target and the predictor.

    `predictor` from (batch, size) to (batch, size); `nn.Identity()` leaves it out.
    """

    def __init__(self, online: nn.Module, predictor: nn.Module, decay: float = 0.99) -> None:
        super().__init__()
        self.online, self.predictor, self.decay = online, predictor, decay
        self.target = deepcopy(online)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """The mean loss, a scalar, of two views of each input, both ways."""
        losses = []
        for seen, aim in ((first, second), (second, first)):
            with torch.no_grad():
                wanted = self.target(aim)
            cosine = functional.cosine_similarity(self.predictor(self.online(seen)), wanted, dim=1)
            losses.append((2 - 2 * cosine).mean())
        return torch.stack(losses).sum()

    @torch.no_grad()
    def follow(self) -> None:
        """Moves the target: ξ ← τξ + (1 - τ)θ."""
        for slow, fast in zip(self.target.parameters(), self.online.parameters(), strict=True):
            slow.lerp_(fast, 1 - self.decay)
        for own, other in zip(self.target.buffers(), self.online.buffers(), strict=True):
            own.copy_(other)
