"""Relation network: r_k = g(Σ_{i∈k} f(x_i) ‖ f(x)) in [0, 1], trained by Σ_k (r_k - 1[y = k])². Row 156.

Sung et al. 2018, equations 1 and 2: the encoder f and the relation g learn together; of K shots the features
are summed, not the scores. f gives feature maps, and g still sees where in the image things lie; of flat
vectors it is an MLP, which learns far slower. The notes name g's score and say neither loss nor K shots.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class RelationNetwork(nn.Module):
    """`encoder` from items to features (items, channels, ...); `relation` from pairs (pairs, 2 channels, ...)
    to logits (pairs, 1)."""

    def __init__(self, encoder: nn.Module, relation: nn.Module) -> None:
        super().__init__()
        self.encoder, self.relation = encoder, relation

    def forward(self, query: Tensor, support: Tensor, labels: Tensor, ways: int) -> Tensor:
        """The relation scores, (queries, ways)."""
        features: Tensor = self.encoder(torch.cat([query, support]))
        x, s = features.split([len(query), len(support)])
        summed = (functional.one_hot(labels, ways).to(s.dtype).mT @ s.flatten(1)).view(ways, *s.shape[1:])
        shape = (len(query), ways, *s.shape[1:])
        pairs = torch.cat([summed[None].expand(shape), x[:, None].expand(shape)], dim=2).flatten(0, 1)
        logits: Tensor = self.relation(pairs)
        return logits.sigmoid().view(len(query), ways)


def relation_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """The squared error, a scalar: summed over the classes, as printed, and the mean over the queries."""
    wanted = functional.one_hot(labels, scores.shape[1]).to(scores.dtype)
    return (scores - wanted).square().sum(dim=1).mean()


def flat_relation(size: int, hidden: int) -> nn.Module:
    """An MLP over pairs of vectors, (pairs, 2 size) to (pairs, 1)."""
    return nn.Sequential(nn.Linear(2 * size, hidden), nn.ReLU(), nn.Linear(hidden, 1))


def conv_relation(channels: int, rows: int, hidden: int) -> nn.Module:
    """A convolution over pairs of square maps, (pairs, 2 channels, rows, rows) to (pairs, 1)."""
    return nn.Sequential(
        nn.Conv2d(2 * channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(),
        nn.Flatten(), nn.Linear(channels * rows * rows, hidden), nn.ReLU(), nn.Linear(hidden, 1),
    )  # fmt: skip
