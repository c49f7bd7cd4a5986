"""Row 126: does a graph hold a cycle? Random trees, half of them with one edge more."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.tensors import TensorRecipe
from ragkit.models.graph.batching import Batch, batched, padded
from ragkit.models.graph.graph import Graph, undirected
from ragkit.models.graph.graph_head import GraphHead
from ragkit.models.graph.graph_layer import Aggregate
from ragkit.models.graph.neighbours import Neighbours
from ragkit.models.graph.network import GraphNetwork
from ragkit.models.graph.structure import non_edges
from ragkit.training.recipe import LoopSettings, Recipe


def random_tree(nodes: int, generator: torch.Generator) -> Tensor:
    """Pairs (2, nodes - 1): each node after the first is joined to one before it."""
    before = [int(torch.randint(node, (1,), generator=generator)) for node in range(1, nodes)]
    return torch.tensor([before, list(range(1, nodes))])


def trees_and_cycles(count: int, seed: int) -> tuple[list[Graph], Tensor]:
    """Graphs of 6 to 16 nodes that all look the same, and whether each has a cycle, (count,)."""
    generator = torch.Generator().manual_seed(seed)
    graphs, labels = [], torch.arange(count) % 2
    for label in labels.tolist():
        nodes = int(torch.randint(6, 17, (1,), generator=generator))
        pairs = random_tree(nodes, generator)
        if label:
            pairs = torch.cat([pairs, non_edges(pairs, nodes, 1, generator)], dim=1)
        graphs.append(Graph(torch.ones(nodes, 1), undirected(pairs)))
    return graphs, labels


class GraphClassifier(nn.Module):
    def __init__(self, width: int, layers: int, aggregate: Aggregate) -> None:
        super().__init__()
        self.network = GraphNetwork([1, *[width] * layers], aggregate)
        self.head = GraphHead(self.network.width)

    def forward(self, batch: Batch) -> Tensor:
        """The logit of a cycle for each graph of the batch."""
        heard = Neighbours.of(batch.graph.edges, batch.graph.nodes)
        h = self.network(batch.graph.features, heard)
        logits: Tensor = self.head(h, batch.owner, batch.graphs, batch.real)
        return logits[:, 0]


@dataclass(frozen=True, kw_only=True)
class CycleOrTree(Experiment):
    """A whole graph's label: sums over neighbours, the mean over the nodes, one linear unit."""

    aggregate: Aggregate = "sum"
    width: int = 32
    layers: int = 2
    graphs: int = 1000
    batch_size: int = 50
    loop: LoopSettings = LoopSettings(
        learning_rate=0.03, max_steps=800, weight_decay=0.0, precision="fp32", validate_every=400
    )

    def recipe(self) -> Recipe:
        train, labels = trees_and_cycles(self.graphs, seed=1)
        test, truth = trees_and_cycles(400, seed=0)
        unseen = batched(test)

        def loss(model: nn.Module, rows: Tensor, labels: Tensor) -> Tensor:
            logits = model(batched([train[row] for row in rows.tolist()]))
            return nn.functional.binary_cross_entropy_with_logits(logits, labels.float())

        return TensorRecipe(
            GraphClassifier(self.width, self.layers, self.aggregate),
            (torch.arange(len(train)), labels),
            loss,
            lambda model: {"accuracy": ((model(unseen) > 0) == truth.bool()).double().mean().item()},
            batch_size=self.batch_size,
            seed=self.loop.seed,
            best_metric="accuracy",
        )


def graph_head() -> dict[str, float | list[float]]:
    """Row 126: padding, and padding that the mean counts; then what is learnt."""
    torch.manual_seed(0)
    graphs, _ = trees_and_cycles(20, seed=2)
    model = GraphClassifier(8, 2, "sum").double()
    exact = [Graph(graph.features.double(), graph.edges) for graph in graphs]
    alone, wide = batched(exact), batched(exact, 25)
    counted = batched([padded(graph, 25) for graph in exact])
    with torch.no_grad():
        plain, moved, off = model(alone), model(wide), model(counted)
    return {
        "moved by padding": float((moved - plain).abs().max()),
        "moved where padding counts": float((off - plain).abs().max()),
        "cycles told from trees": over_seeds(CycleOrTree())["accuracy"],
    }
