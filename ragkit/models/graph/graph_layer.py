"""Graph convolutions: H_{k+1} = a[β1ᵀ + Ω H_k (A + I)], and every other way to aggregate. Rows 129, 135-141.

With z_m = Ω h_m, each node n becomes a[β + ...]:

    sum           z_n + Σ_m z_m                      row 129; the notes' first compact line lacks the 1ᵀ
    diagonal      (1 + ε) z_n + Σ_m z_m              row 135, ε learnt (GIN, Xu et al. 2019)
    generalised   Ψ h_n + Σ_m z_m                    row 136
    residual      Σ_m z_m, then [a[β + ...]; h_n]    row 137, wider by D
    mean          z_n + Σ_m z_m / |ne n|             row 138, H(AD⁻¹ + I); a node without neighbours adds 0
    kipf          z_n/d_n + Σ_m z_m / √(d_n d_m)     row 139, d = |ne| + 1: Ã = D̃^-½ (A + I) D̃^-½
    max           Ω (h_n + max_m h_m)                row 140, elementwise
    attention     Σ_m α_nm z_m over A + I            row 141, α = softmax_m a[φᵀ[z_n; z_m]] (GAT)

`variant="notes"`: their sum of kipf has no own term, their matrix form is D^-½AD^-½ + I; Kipf and Welling
(2017) found that adding the loops before normalising is better. Their attention puts β into z, where it moves
the scores, too, and has one head; Veličković et al. (2018) add it afterwards and set several heads side by
side.
"""

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from ragkit.errors import RagkitError
from ragkit.models.graph.neighbours import Neighbours

Aggregate = Literal["sum", "diagonal", "generalised", "residual", "mean", "kipf", "max", "attention"]
Activation = Callable[[Tensor], Tensor]
Variant = Literal["standard", "notes"]


class GraphLayer(nn.Module):
    """`weight` Ω (outputs, inputs), Glorot's uniform (row 35), and `bias` β (outputs,), which begins at 0.

    Args:
        heads: of attention, each with its share of the outputs.
        dropout: the share of attention weights that are zeroed in training.

    Raises:
        RagkitError: if there is no such aggregation, or the heads do not share the outputs evenly.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        aggregate: Aggregate = "kipf",
        *,
        activation: Activation = functional.relu,
        heads: int = 1,
        dropout: float = 0.0,
        variant: Variant = "standard",
    ) -> None:
        super().__init__()
        if aggregate not in get_args(Aggregate):
            raise RagkitError(f"no aggregation {aggregate!r}: there are {', '.join(get_args(Aggregate))}")
        if heads < 1 or outputs % heads:
            raise RagkitError(f"{outputs} outputs cannot be shared by {heads} heads")
        self.aggregate, self.activation, self.variant = aggregate, activation, variant
        self.heads, self.dropout = heads, dropout
        self.width = outputs + inputs if aggregate == "residual" else outputs
        self.weight = glorot(outputs, inputs)
        self.bias = nn.Parameter(torch.zeros(outputs))
        if aggregate == "diagonal":
            self.epsilon = nn.Parameter(torch.zeros(()))
        if aggregate == "generalised":
            self.own_weight = glorot(outputs, inputs)
        if aggregate == "attention":
            self.score_target = glorot(heads, outputs // heads)
            self.score_source = glorot(heads, outputs // heads)

    def forward(self, h: Tensor, neighbours: Neighbours) -> Tensor:
        """Embeddings (nodes, inputs), dense or sparse, to (receivers, width).

        Raises:
            RagkitError: if they are not as many as the nodes, or of another width.
        """
        nodes, inputs = len(neighbours.degrees), self.weight.shape[1]
        if h.shape != (nodes, inputs):
            raise RagkitError(f"embeddings {tuple(h.shape)}: expected ({nodes}, {inputs})")
        if self.aggregate == "max":
            h = h.to_dense()
            return self.activated(self._max(h, neighbours))
        if self.aggregate == "attention":
            return self._attention(linear(h, self.weight), neighbours)
        new = self.activated(self._sum(h, linear(h, self.weight), neighbours))
        if self.aggregate == "residual":
            return torch.cat([new, h.to_dense()[: neighbours.receivers]], dim=1)
        return new

    def activated(self, total: Tensor) -> Tensor:
        return self.activation(total + self.bias)

    def _sum(self, h: Tensor, z: Tensor, neighbours: Neighbours) -> Tensor:
        """The aggregations that are one weight for each neighbour and one for the node itself."""
        own, degrees = z[: neighbours.receivers], neighbours.degrees.to(z.dtype)
        if self.aggregate == "mean":
            share = 1 / degrees.clamp(min=1)
            return own + neighbours.total(z[neighbours.sources] * share[neighbours.targets, None])
        if self.aggregate == "kipf":
            loops = 1 if self.variant == "standard" else 0
            share = (degrees + loops).clamp(min=1).rsqrt()
            sent = z * share[:, None]
            heard = neighbours.total(sent[neighbours.sources]) * share[: neighbours.receivers, None]
            return heard + own * (share[: neighbours.receivers, None] ** 2 if loops else 1)
        heard = neighbours.total(z[neighbours.sources])
        match self.aggregate:
            case "diagonal":
                return heard + (1 + self.epsilon) * own
            case "generalised":
                return heard + linear(h, self.own_weight)[: neighbours.receivers]
            case "residual":
                return heard
        return heard + own

    def _max(self, h: Tensor, neighbours: Neighbours) -> Tensor:
        pooled = neighbours.largest(h[neighbours.sources])
        return linear(h[: neighbours.receivers] + pooled, self.weight)

    def _attention(self, z: Tensor, neighbours: Neighbours) -> Tensor:
        heard = neighbours.with_loops()
        z, weights = self._attended(z, heard)
        weights = functional.dropout(weights, self.dropout, self.training)
        total = heard.total(z[heard.sources] * weights[..., None]).flatten(1)
        return self.activation(total) if self.variant == "notes" else self.activated(total)

    def _attended(self, z: Tensor, heard: Neighbours) -> tuple[Tensor, Tensor]:
        """H' by head, (nodes, heads, width), and softmask[S, A + I], (edges, heads)."""
        if self.variant == "notes":
            z = z + self.bias
        z = z.view(len(z), self.heads, -1)
        to, by = (z * self.score_target).sum(-1), (z * self.score_source).sum(-1)
        scores = functional.leaky_relu(to[heard.targets] + by[heard.sources], 0.2)
        return z, heard.softmax(scores)

    def attention_weights(self, h: Tensor, heard: Neighbours) -> Tensor:
        """How much each node cares for each of those it hears by `heard`, A + I: (edges, heads)."""
        return self._attended(linear(h, self.weight), heard)[1]


def linear(h: Tensor, weight: Tensor) -> Tensor:
    """Ω h for each row of h (nodes, inputs), dense or sparse."""
    return torch.sparse.mm(h, weight.T) if h.is_sparse else h @ weight.T


def glorot(outputs: int, inputs: int) -> nn.Parameter:
    return nn.Parameter(nn.init.xavier_uniform_(torch.empty(outputs, inputs)))
