"""Row 128: who cites whom in Cora, from embeddings that were fitted to the other citations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.graph.cora import cora
from ragkit.models.graph.edge_head import edge_logits
from ragkit.models.graph.graph_layer import Aggregate
from ragkit.models.graph.neighbours import Neighbours
from ragkit.models.graph.network import GraphNetwork
from ragkit.models.graph.structure import non_edges, structure_loss
from ragkit.training.recipe import LoopSettings, Recipe


class HeldEdges(NamedTuple):
    """Edges (2, edges) in both directions, then pairs (2, pairs) that are edges and as many that are not."""

    seen: Tensor
    held: Tensor
    others: Tensor


def hold_out(edges: Tensor, nodes: int, share: float, seed: int) -> HeldEdges:
    """Takes `share` of the undirected `edges` away, and draws as many pairs that are none."""
    generator = torch.Generator().manual_seed(seed)
    once = edges[:, edges[0] < edges[1]]
    order = torch.randperm(once.shape[1], generator=generator)
    held, seen = once[:, order].tensor_split([round(share * once.shape[1])], dim=1)
    others = non_edges(edges, nodes, held.shape[1], generator)
    return HeldEdges(torch.cat([seen, seen.flip(0)], dim=1), held, others)


class LinksRecipe(Recipe):
    """A step is the whole graph of seen edges, and as many pairs that are none, drawn anew."""

    best_metric = "AUC"

    def __init__(self, model: nn.Module, features: Tensor, pairs: HeldEdges) -> None:
        self.model, self.features, self.pairs = model, features, pairs
        self.heard = Neighbours.of(pairs.seen, len(features))

    def batches(self, epoch: int) -> Sequence[Any]:
        return [None]

    def step(self, model: nn.Module, batch: Any) -> Mapping[str, Tensor]:
        seen = self.pairs.seen
        others = non_edges(seen, len(self.features), seen.shape[1])
        return {"loss": structure_loss(model(self.features, self.heard), seen, others)}

    def validate(self, model: nn.Module) -> dict[str, float]:
        from sklearn.metrics import roc_auc_score

        z = model(self.features, self.heard)
        held, others = (edge_logits(z, pairs) for pairs in (self.pairs.held, self.pairs.others))
        truth = [1] * len(held) + [0] * len(others)
        return {"AUC": float(roc_auc_score(truth, torch.cat([held, others])))}


@dataclass(frozen=True, kw_only=True)
class CoraLinks(Experiment):
    """The graph autoencoder of Kipf and Welling (2016) without `held` of the edges."""

    aggregate: Aggregate = "kipf"
    hidden: int = 32
    width: int = 16
    held: float = 0.1
    loop: LoopSettings = LoopSettings(
        learning_rate=0.01, max_steps=200, precision="fp32", weight_decay=0.0, validate_every=50
    )

    def recipe(self) -> Recipe:
        graph = cora().graph
        widths = [graph.features.shape[1], self.hidden, self.width]
        pairs = hold_out(graph.edges, graph.nodes, self.held, self.loop.seed)
        return LinksRecipe(GraphNetwork(widths, self.aggregate), graph.features, pairs)


def edge_head() -> dict[str, float | list[float]]:
    """Row 128."""
    z = torch.randn(8, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pairs = torch.tensor([[0, 3, 7], [1, 3, 2]])
    whole = z @ z.T
    found, turned = edge_logits(z, pairs), edge_logits(z, pairs.flip(0))
    return {
        "error": float((found - whole[pairs[0], pairs[1]]).abs().max()),
        "(m, n) - (n, m)": float((found - turned).abs().max()),
        "AUC of held citations": over_seeds(CoraLinks())["AUC"],
    }
