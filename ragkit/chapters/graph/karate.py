"""Rows 125, 127: Zachary's karate club, 34 members and 78 friendships; it split over two of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.graph.links import LinksRecipe, hold_out
from ragkit.chapters.picture import panels, save
from ragkit.models.graph.edge_head import edge_logits
from ragkit.models.graph.graph import Graph, adjacency, undirected
from ragkit.models.graph.neighbours import Neighbours
from ragkit.models.graph.network import GraphNetwork
from ragkit.models.graph.node_head import NodeHead, node_loss
from ragkit.training.recipe import LoopSettings, Recipe

LEADERS = torch.tensor([0, 33])
"""The instructor and the president."""
LOOP = LoopSettings(
    learning_rate=0.01, max_steps=200, precision="fp32", weight_decay=5e-4, validate_every=200
)


def karate() -> tuple[Graph, Tensor]:
    """The club as networkx has it, X = I, and whom each member followed, (34,): 0 or 1."""
    import networkx

    club = networkx.karate_club_graph()
    sides = [club.nodes[member]["club"] == "Officer" for member in sorted(club)]
    graph = Graph(torch.eye(len(sides)), undirected(torch.tensor(list(club.edges)).T))
    return graph, torch.tensor(sides).long()


@dataclass(frozen=True, kw_only=True)
class KarateEmbedding(Experiment):
    """A vector for each member, fitted to who knows whom, without `held` of the friendships."""

    hidden: int = 16
    width: int = 2
    held: float = 0.15
    loop: LoopSettings = LOOP

    def recipe(self) -> Recipe:
        graph, _ = karate()
        pairs = hold_out(graph.edges, graph.nodes, self.held, self.loop.seed)
        return LinksRecipe(GraphNetwork([graph.nodes, self.hidden, self.width]), graph.features, pairs)

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        from sklearn.metrics import roc_auc_score

        assert isinstance(recipe, LinksRecipe)
        with torch.no_grad():
            z = recipe.model(recipe.features, recipe.heard)
        draw(z, out / "embedding.png")
        first, second = torch.triu_indices(len(z), len(z), 1)
        joined = adjacency(recipe.pairs.seen, len(z))[first, second]
        logits = edge_logits(z, torch.stack([first, second]))
        return {"AUC of seen friendships": float(roc_auc_score(joined, logits))}


def draw(z: Tensor, file: Path) -> None:
    """The members at the first two principal components of z (34, width), and their friendships."""
    graph, sides = karate()
    _, _, axes_of = torch.linalg.svd(z - z.mean(dim=0), full_matrices=False)
    places = (z - z.mean(dim=0)) @ axes_of[:2].mT
    figure, (axes,) = panels(width=5.5, height=4.5)
    for first, second in graph.edges.T.tolist():
        axes.plot(*places[[first, second]].T, color="0.85", linewidth=0.7, zorder=1)
    axes.scatter(*places.T, c=sides, cmap="coolwarm", s=120, zorder=2)
    for member, place in enumerate(places.tolist()):
        axes.annotate(str(member + 1), place, ha="center", va="center", fontsize=7, color="white")
    axes.set(xticks=[], yticks=[], title="the club's vectors, coloured by the side they took")
    save(figure, file)


class SidesRecipe(Recipe):
    """Both leaders' sides are told; the others' are asked."""

    best_metric = "accuracy"

    def __init__(self, hidden: int, width: int) -> None:
        self.graph, self.sides = karate()
        self.heard = Neighbours.of(self.graph.edges, self.graph.nodes)
        self.model = _Told(GraphNetwork([self.graph.nodes, hidden, width]), NodeHead(width))

    def batches(self, epoch: int) -> Sequence[Any]:
        return [None]

    def step(self, model: nn.Module, batch: Any) -> Mapping[str, Tensor]:
        return {"loss": node_loss(model(self.graph.features, self.heard), self.sides, LEADERS)}

    def validate(self, model: nn.Module) -> dict[str, float]:
        right = (model(self.graph.features, self.heard)[:, 0] > 0) == self.sides.bool()
        asked = torch.ones(len(right), dtype=torch.bool)
        asked[LEADERS] = False
        return {"accuracy": right[asked].double().mean().item()}


class _Told(nn.Module):
    def __init__(self, network: GraphNetwork, head: NodeHead) -> None:
        super().__init__()
        self.network, self.head = network, head

    def forward(self, features: Tensor, heard: Neighbours) -> Tensor:
        logits: Tensor = self.head(self.network(features, heard))
        return logits


@dataclass(frozen=True, kw_only=True)
class KarateSides(Experiment):
    """Which side a member took, from the two leaders' labels and the friendships alone."""

    hidden: int = 16
    width: int = 4
    loop: LoopSettings = LOOP

    def recipe(self) -> Recipe:
        return SidesRecipe(self.hidden, self.width)


def structure() -> dict[str, list[float]]:
    """Row 125."""
    reached = over_seeds(KarateEmbedding(), range(5))
    return {"AUC of seen friendships": reached["AUC of seen friendships"], "of held ones": reached["AUC"]}


def node_head() -> dict[str, float | list[float]]:
    """Row 127; the head once more by hand."""
    head, h = NodeHead(4).double(), torch.randn(9, 4, dtype=torch.float64)
    by_hand = torch.stack([head.linear.bias[0] + head.linear.weight[0] @ row for row in h])
    return {
        "error": float((head(h)[:, 0] - by_hand).detach().abs().max()),
        "sides told from two labels": over_seeds(KarateSides())["accuracy"],
    }
