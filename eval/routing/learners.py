"""Few-shot classifiers that are first trained on other topics: a relation network and MAML over vectors."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from eval.routing.data import Texts
from ragkit.encoders.encoder import Vectors
from ragkit.models.meta.episodes import EpisodeSampler
from ragkit.models.meta.maml import Parameters, adapted
from ragkit.models.meta.relation import RelationNetwork, flat_relation, relation_loss
from ragkit.retrieval.routing.classifiers import Labels, Scores

TaskLoss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Of support, labels, query and its labels."""
STEPS, WAYS, QUERIES = 400, 5, 5
HIDDEN = 128


class Residual(nn.Module):
    """x + W x, W from 0: starts as the vectors are."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.change = nn.Linear(size, size, bias=False)
        nn.init.zeros_(self.change.weight)

    def forward(self, vectors: Tensor) -> Tensor:
        return vectors + self.change(vectors)


def trained(model: nn.Module, loss: TaskLoss, data: Texts, shots: int, seed: int = 0) -> None:
    """`STEPS` episodes of the intents in `data`, by Adam with a rate that falls to 0."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.as_tensor(data.vectors)
    sampler = EpisodeSampler(torch.as_tensor(data.labels), WAYS, shots, QUERIES)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, STEPS)
    for _ in range(STEPS):
        support, labels, query, wanted, _ = sampler.draw(generator)
        optimiser.zero_grad()
        loss(vectors[support], labels, vectors[query], wanted).backward()
        optimiser.step()
        schedule.step()


class Relation:
    """A relation network over flat vectors (row 156), trained on the intents of `data`."""

    def __init__(self, data: Texts, shots: int) -> None:
        size = data.vectors.shape[1]
        self.model = RelationNetwork(Residual(size), flat_relation(size, HIDDEN))

        def loss(support: Tensor, labels: Tensor, query: Tensor, wanted: Tensor) -> Tensor:
            return relation_loss(self.model(query, support, labels, WAYS), wanted)

        trained(self.model, loss, data, shots)

    @torch.no_grad()
    def __call__(self, support: Vectors, labels: Labels, query: Vectors) -> Scores:
        ways = int(labels.max()) + 1
        given = torch.as_tensor(query), torch.as_tensor(support), torch.as_tensor(labels)
        scores: Scores = self.model(*given, ways).numpy()
        return scores


class Maml:
    """A body x + W x and a head of weights that starts at 0 for every class, so that it takes any number of
    them; body and inner rate are trained on the intents of `data`, `inner` steps each (row 158)."""

    def __init__(self, data: Texts, shots: int, inner: int = 5) -> None:
        self.inner, size = inner, data.vectors.shape[1]
        self.body = Residual(size)
        self.log_rate = nn.Parameter(torch.tensor(math.log(10.0)))
        model = nn.Module()
        model.body, model.log_rate = self.body, self.log_rate
        trained(model, self._loss, data, shots)

    def _loss(self, support: Tensor, labels: Tensor, query: Tensor, wanted: Tensor) -> Tensor:
        return functional.cross_entropy(self._scores(support, labels, query, WAYS), wanted)

    def _scores(self, support: Tensor, labels: Tensor, query: Tensor, ways: int) -> Tensor:
        def logits(of: Parameters, vectors: Tensor) -> Tensor:
            body = {name.removeprefix("body."): value for name, value in of.items() if name != "head"}
            found: Tensor = functional_call(self.body, body, (vectors,)) @ of["head"].mT
            return found

        def error(of: Parameters) -> Tensor:
            return functional.cross_entropy(logits(of, support), labels)

        start = {f"body.{name}": value for name, value in self.body.named_parameters()}
        start["head"] = support.new_zeros(ways, support.shape[1])
        return logits(adapted(error, start, self.log_rate.exp(), self.inner), query)

    def __call__(self, support: Vectors, labels: Labels, query: Vectors) -> Scores:
        ways = int(labels.max()) + 1
        given = (torch.as_tensor(of) for of in (support, labels, query))
        scores: Scores = self._scores(*given, ways).detach().numpy()
        return scores
