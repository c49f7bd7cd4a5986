"""Plackett-Luce, for rankings: -log Pr = Σ_k [log Σ_{j≥k} e^{s_j} - s_k], s as ranked. Row 24.

The first place is drawn from the softmax of all scores, the second from that of the rest, and so on (Luce
1959, Plackett 1975). For two items it is the Bernoulli of the difference of their scores (Bradley-Terry);
as a loss for rankers it is ListMLE.
"""

import torch
from torch import Tensor

from ragkit.models.basics.likelihoods.likelihood import Likelihood, Parameters, uniform_like


class PlackettLuce(Likelihood):
    """Outputs K scores; a label is the ranking: the items 0 .. K-1 from the first place to the last."""

    def __init__(self, items: int) -> None:
        self.outputs = items
        self.event = (items,)

    @property
    def domain(self) -> str:  # type: ignore[override]
        return f"each of the items 0 to {self.outputs - 1} once"

    def link(self, output: Tensor) -> Parameters:
        # A constant added to all scores changes nothing: normalised, they are the odds of the first place.
        return {"scores": output.log_softmax(dim=-1)}

    def _contains(self, y: Tensor) -> Tensor:
        wanted = torch.arange(self.outputs, device=y.device)
        right = (y.sort(dim=-1).values == wanted).all(dim=-1, keepdim=True)
        return right.expand_as(y)

    def _nll(self, theta: Parameters, y: Tensor) -> Tensor:
        ranked = theta["scores"].gather(-1, y.long())
        rest = ranked.flip(-1).logcumsumexp(dim=-1).flip(-1)
        return (rest - ranked).sum(dim=-1)

    def _mode(self, theta: Parameters) -> Tensor:
        return theta["scores"].argsort(dim=-1, descending=True)

    def _sample(self, theta: Parameters, generator: torch.Generator | None) -> Tensor:
        # Sorting scores with Gumbel noise draws exactly from this law (Yellott 1977).
        gumbel = -(-uniform_like(theta["scores"], generator).log()).log()
        return (theta["scores"] + gumbel).argsort(dim=-1, descending=True)
