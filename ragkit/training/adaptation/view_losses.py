"""Chapter 5's losses over the vectors of two views, by name, for a text encoder.

- `nll`: the other view among all of the batch, one way (sentence-transformers' own, as `ragkit train dpr`);
- `nt-xent`: SimCLR's, both ways and among all views (Chen et al. 2020, equation 1);
- `barlow-twins`: the units of both views agree with themselves and not with each other (Zbontar et al. 2021);
- `byol`: a predictor guesses what a slow copy of the encoder says of the other view (Grill et al. 2020).

The last two have no negatives and learn through a projector, as in their papers, which is thrown away.
"""

from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ragkit.models.selfsup.barlow_twins import barlow_twins_loss
from ragkit.models.selfsup.byol import Byol
from ragkit.models.selfsup.sim_clr import nt_xent

ViewLossName = Literal["nll", "nt-xent", "barlow-twins", "byol"]
TEMPERATURE = 0.05
"""Of cosines of text vectors (Gao et al. 2021), the 1/20 of `nll`."""
TARGET_DECAY = 0.99

Features = dict[str, Any]
"""A column of texts as the encoder's tokenizer gives it."""


def view_loss(model: Any, name: ViewLossName, seed: int) -> nn.Module | None:
    """The loss module around the SentenceTransformer `model`; None for `nll`, the trainer's default.

    Projector and predictor are random by `seed`.
    """
    if name == "nll":
        return None
    torch.manual_seed(seed)
    return {"nt-xent": NtXent, "barlow-twins": BarlowTwins, "byol": TextByol}[name](model)


class NtXent(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Iterable[Features], labels: Tensor | None = None) -> Tensor:
        first, second = (_vectors(self.model, column) for column in features)
        return nt_xent(first, second, TEMPERATURE)


class BarlowTwins(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.projector = model, _projector(_width(model))

    def forward(self, features: Iterable[Features], labels: Tensor | None = None) -> Tensor:
        first, second = (self.projector(_vectors(self.model, column)) for column in features)
        # A sum over as many units as the projector has: its mean is of the other losses' size.
        return barlow_twins_loss(first, second) / first.shape[1]


class TextByol(nn.Module):
    """The slow copy follows before each step: it is part of the checkpoint, so a resumed run is the same."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        width = _width(model)
        self.byol = Byol(_Projected(model, _projector(width)), _projector(width), TARGET_DECAY)

    def forward(self, features: Iterable[Features], labels: Tensor | None = None) -> Tensor:
        first, second = features
        self.byol.follow()
        loss: Tensor = self.byol(first, second)
        return loss


class _Projected(nn.Module):
    # Not called `model`: the trainer would put the model that learns in the slow copy's place.
    def __init__(self, encoder: Any, projector: nn.Module) -> None:
        super().__init__()
        self.encoder, self.projector = encoder, projector

    def forward(self, features: Features) -> Tensor:
        projected: Tensor = self.projector(_vectors(self.encoder, features))
        return projected


def _vectors(model: Any, features: Features) -> Tensor:
    """(batch, width), in single precision. The model writes into what it is given: it gets a copy."""
    vectors: Tensor = model(dict(features))["sentence_embedding"]
    return vectors.float()


def _projector(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, 2 * width), nn.BatchNorm1d(2 * width), nn.ReLU(), nn.Linear(2 * width, width)
    )


def _width(model: Any) -> int:
    return int(model.get_embedding_dimension())
