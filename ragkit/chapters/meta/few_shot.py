"""Rows 154-156: characters of alphabets never trained on, told apart by one drawing of each."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.meta.episodes import EpisodeRecipe
from ragkit.chapters.meta.omniglot import SIDE, Task, characters, nearest_pixels, tasks
from ragkit.chapters.picture import panels, save
from ragkit.models.meta.conv_encoder import ConvEncoder
from ragkit.models.meta.episodes import EpisodeSampler
from ragkit.models.meta.full_context import FullContext
from ragkit.models.meta.matching import MatchingNetwork
from ragkit.models.meta.objective import episode_loss
from ragkit.models.meta.prototypes import PrototypicalNetwork
from ragkit.models.meta.relation import RelationNetwork, conv_relation, flat_relation, relation_loss
from ragkit.models.meta.siamese import ConvSiamese, most_alike, same_loss
from ragkit.training.recipe import LoopSettings, Recipe

Method = Literal["siamese", "matching", "prototypes", "relation"]


@dataclass(frozen=True, kw_only=True)
class FewShot(Experiment):
    """Trained on episodes of `ways` classes with `shots` and `queries` items each, tested on 5 classes.

    `scaled`, `full_context`: of matching networks; `conv_head`: whether the relation looks at maps of
    features or at flat vectors.
    """

    method: Method = "matching"
    ways: int = 20
    shots: int = 1
    queries: int = 3
    channels: int = 32
    scaled: bool = True
    full_context: bool = False
    conv_head: bool = True
    loop: LoopSettings = LoopSettings(
        learning_rate=3e-3, max_steps=800, precision="fp32", validate_every=400, log_every=50
    )

    def recipe(self) -> Recipe:
        train, test = characters()
        held_out = tasks(test, 200, shots=self.shots)
        return EpisodeRecipe(
            self.model(),
            train,
            EpisodeSampler(train.labels, self.ways, self.shots, self.queries),
            loss,
            lambda model: {"accuracy": accuracy(model, held_out)},
            self.loop.seed,
        )

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        held_out = tasks(characters()[1], 200, shots=self.shots)
        draw(recipe.model, held_out[0], out / "episode.png")
        right = [nearest_pixels(task) == task.query_labels for task in held_out]
        return {"accuracy of pixels": torch.cat(right).double().mean().item()}

    def model(self) -> nn.Module:
        blocks = 2 if self.method in ("siamese", "relation") else 3
        side = SIDE >> blocks
        size = self.channels * side**2
        maps = self.method == "relation" and self.conv_head
        encoder = ConvEncoder(self.channels, blocks, flat=not maps)
        if self.method == "siamese":
            return ConvSiamese(encoder, size)
        if self.method == "prototypes":
            return PrototypicalNetwork(encoder)
        if self.method == "relation":
            head = conv_relation(self.channels, side, 32) if maps else flat_relation(size, 128)
            return RelationNetwork(encoder, head)
        context = FullContext(size) if self.full_context else None
        return MatchingNetwork(encoder, context=context, variant="standard" if self.scaled else "notes")


def loss(model: nn.Module, task: Task) -> Tensor:
    """Of an episode, a scalar: each method by its own."""
    support, labels, query, wanted = task
    if isinstance(model, ConvSiamese):
        return same_loss(model(query, support), wanted[:, None] == labels)
    scores = model(query, support, labels, task.ways)
    return (relation_loss if isinstance(model, RelationNetwork) else episode_loss)(scores, wanted)


def predicted(model: nn.Module, task: Task) -> Tensor:
    """The label of each query, (queries,)."""
    if isinstance(model, ConvSiamese):
        return most_alike(model(task.query, task.support), task.labels)
    best: Tensor = model(task.query, task.support, task.labels, task.ways).argmax(dim=1)
    return best


@torch.no_grad()
def accuracy(model: nn.Module, held_out: list[Task]) -> float:
    device = next(model.parameters()).device
    right = [predicted(model, task) == task.query_labels for task in (task.to(device) for task in held_out)]
    return torch.cat(right).double().mean().item()


def draw(model: nn.Module, task: Task, file: Path) -> None:
    """An episode: the support above, below it the queries that the model takes for it, wrong ones in red."""
    device = next(model.parameters()).device
    with torch.no_grad():
        found = predicted(model, task.to(device)).cpu()
    columns = task.ways
    rows = int(found.bincount(minlength=columns).max())
    figure, (axes,) = panels(width=1.1 * columns, height=1.1 * (rows + 1))
    step = SIDE + 2
    for column in range(columns):
        support = task.support[task.labels == column][0]
        picture(axes, support, column * step, 0, "black")
        for row, place in enumerate((found == column).nonzero()[:, 0].tolist(), 1):
            right = bool(task.query_labels[place] == column)
            picture(axes, task.query[place], column * step, row * step, "tab:green" if right else "tab:red")
    axes.set(xlim=(-2, columns * step), ylim=((rows + 1) * step, -2), xticks=[], yticks=[], aspect="equal")
    axes.set_title("one drawing of each of five unseen characters, and what is taken for it")
    axes.axis("off")
    save(figure, file)


def picture(axes: Any, image: Tensor, x: int, y: int, colour: str) -> None:
    """An image (1, side, side) with its upper left corner at (x, y) and a frame."""
    axes.imshow(image[0].numpy(), cmap="Greys", vmin=0, vmax=1, extent=(x, x + SIDE, y + SIDE, y))
    axes.plot([x, x + SIDE, x + SIDE, x, x], [y, y, y + SIDE, y + SIDE, y], color=colour, linewidth=1.5)


def siamese() -> dict[str, float | list[float]]:
    """Row 154; the probability once more in numpy."""
    torch.manual_seed(0)
    network = ConvSiamese(nn.Flatten(), 6).double()
    query, support = torch.rand(4, 2, 3, dtype=torch.float64), torch.rand(5, 2, 3, dtype=torch.float64)
    w, b = (p.detach().numpy() for p in network.weigh.parameters())
    x, s = query.flatten(1).numpy(), support.flatten(1).numpy()
    by_hand = [[1 / (1 + np.exp(-(w[0] @ np.abs(of - other) + b[0]))) for other in s] for of in x]
    reached = over_seeds(FewShot(method="siamese"))
    return {
        "error": float(np.abs(network(query, support).sigmoid().detach().numpy() - by_hand).max()),
        "accuracy": reached["accuracy"],
        "points over pixels": points(reached["accuracy"], reached["accuracy of pixels"]),
    }


def matching() -> dict[str, float | list[float]]:
    """Row 155; attention and full context once more in numpy."""
    scaled, plain = over_seeds(FewShot()), over_seeds(FewShot(scaled=False))
    return {
        "error": max(attention_error(), context_error()),
        "accuracy": scaled["accuracy"],
        "points over the bare cosine": points(scaled["accuracy"], plain["accuracy"]),
    }


def attention_error() -> float:
    """Of both variants, with f and g apart."""
    torch.manual_seed(0)
    f, g = nn.Linear(3, 4).double(), nn.Linear(3, 4).double()
    query, support = torch.randn(6, 3, dtype=torch.float64), torch.randn(7, 3, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 2])
    worst = 0.0
    for network in (MatchingNetwork(f, g), MatchingNetwork(f, g, variant="notes")):
        ours, scale = network.double()(query, support, labels, 3).exp(), float(network.scale)
        x, s = f(query).detach().numpy(), g(support).detach().numpy()
        for row, of in zip(ours.detach().numpy(), x, strict=True):
            cosine = np.array([of @ other / np.linalg.norm(of) / np.linalg.norm(other) for other in s])
            weights = np.exp(scale * cosine) / np.exp(scale * cosine).sum()
            wanted = [weights[labels.numpy() == label].sum() for label in range(3)]
            worst = max(worst, float(np.abs(row - wanted).max()))
    return worst


def context_error() -> float:
    """Of the attention LSTM of full context embeddings."""
    torch.manual_seed(0)
    context = FullContext(4, steps=3).double()
    query, support = torch.randn(6, 4, dtype=torch.float64), torch.randn(7, 4, dtype=torch.float64)
    ours = context.query(query, support).detach().numpy()
    w_in, w_h, b_in, b_h = (p.detach().numpy() for p in context.cell.parameters())
    s, worst = support.numpy(), 0.0
    for row, x in zip(ours, query.numpy(), strict=True):
        h, c, read = x, np.zeros(4), np.zeros(4)
        for _ in range(3):
            i, f, g, o = np.split(w_in @ np.concatenate([x, read]) + b_in + w_h @ h + b_h, 4)
            i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
            c = f * c + i * np.tanh(g)
            h = o * np.tanh(c) + x
            weights = np.exp(s @ h) / np.exp(s @ h).sum()
            read = weights @ s
        worst = max(worst, float(np.abs(row - h).max()))
    return worst


def relation() -> dict[str, float | list[float]]:
    """Row 156; sums and loss once more in loops."""
    torch.manual_seed(0)
    head = flat_relation(4, 5).double()
    network = RelationNetwork(nn.Identity(), head)
    query, support = torch.randn(3, 4, dtype=torch.float64), torch.randn(6, 4, dtype=torch.float64)
    labels, wanted = torch.tensor([0, 1, 0, 1, 0, 1]), torch.tensor([1, 0, 1])
    ours = network(query, support, labels, 2)
    by_hand = torch.zeros(3, 2, dtype=torch.float64)
    for i, x in enumerate(query):
        for k in range(2):
            summed = sum(s for s, label in zip(support, labels.tolist(), strict=True) if label == k)
            by_hand[i, k] = head(torch.cat([torch.as_tensor(summed), x])[None]).sigmoid()
    squares = [(by_hand[i, k] - float(k == wanted[i])) ** 2 for i in range(3) for k in range(2)]
    off = abs(float(relation_loss(ours, wanted)) - float(sum(squares)) / 3)
    maps, flat = (
        over_seeds(FewShot(method="relation")),
        over_seeds(FewShot(method="relation", conv_head=False)),
    )
    return {
        "error": max(float((ours - by_hand).abs().max()), off),
        "accuracy": maps["accuracy"],
        "points over flat features": points(maps["accuracy"], flat["accuracy"]),
    }


def points(a: list[float], b: list[float]) -> list[float]:
    return [100 * (x - y) for x, y in zip(a, b, strict=True)]
