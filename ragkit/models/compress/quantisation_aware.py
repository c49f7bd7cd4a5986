"""Quantisation-aware training: a network that computes in floats as its integers later will. Row 150.

    y = x̂ Ŵᵀ + b

Ŵ are the weights on their grid (`bits`, a scale each group of a row or each row), x̂ the inputs on theirs
(8 bits, range: a moving average of what was seen), the gradients straight through both.

The weights learn where rounding leaves them. `prepare` swaps a model's linear layers and embeddings for
such ones, `finish` swaps back ordinary ones whose weights lie on the grid (Jacob et al. 2018). Weights that
two layers share (an output layer's and an embedding's) stay shared.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from ragkit.models.compress.affine import Grid, affine_grid, symmetric_grid
from ragkit.models.compress.fake_quantisation import fake_quantise

DECAY = 0.99
"""Of the moving average of input ranges."""


class QuantisedLinear(nn.Linear):
    """A linear layer on the grid of its integers.

    Args:
        bits: of a weight.
        group: weights that share a scale; None: a whole row.
        inputs: whether the inputs are quantised to 8 bits, too.
    """

    least: Tensor
    largest: Tensor

    def __init__(self, layer: nn.Linear, bits: int = 4, group: int | None = None, inputs: bool = False):
        super().__init__(
            layer.in_features, layer.out_features, layer.bias is not None, dtype=layer.weight.dtype
        )
        self.weight, self.bias = layer.weight, layer.bias
        self.bits, self.group, self.inputs = bits, group, inputs
        if inputs:
            self.register_buffer("least", torch.full((), torch.nan, dtype=layer.weight.dtype))
            self.register_buffer("largest", torch.full((), torch.nan, dtype=layer.weight.dtype))

    def on_grid(self) -> Tensor:
        """Ŵ, (outputs, inputs)."""
        return rows_on_grid(self.weight, self.bits, self.group)

    def input_grid(self) -> Grid:
        return affine_grid(self.least, self.largest)

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs). In training mode the input's range is watched."""
        if self.inputs:
            if self.training:
                self._watch(x.detach())
            x = fake_quantise(x, self.input_grid())
        return functional.linear(x, self.on_grid(), self.bias)

    def _watch(self, x: Tensor) -> None:
        for kept, seen in ((self.least, x.amin()), (self.largest, x.amax())):
            kept.copy_(seen if bool(kept.isnan()) else DECAY * kept + (1 - DECAY) * seen)


class QuantisedEmbedding(nn.Embedding):
    """An embedding whose rows are on the grid of their integers: those that are looked up."""

    def __init__(self, layer: nn.Embedding, bits: int = 4, group: int | None = None):
        super().__init__(
            layer.num_embeddings, layer.embedding_dim, layer.padding_idx, dtype=layer.weight.dtype
        )
        self.weight = layer.weight
        self.bits, self.group = bits, group

    def forward(self, ids: Tensor) -> Tensor:
        """(...) to (..., size)."""
        found = super().forward(ids)
        return rows_on_grid(found.flatten(0, -2), self.bits, self.group).view_as(found)


class OnGrid(nn.Module):
    """A parametrization: who reads the matrix finds it on its grid."""

    def __init__(self, bits: int, group: int | None) -> None:
        super().__init__()
        self.bits, self.group = bits, group

    def forward(self, weight: Tensor) -> Tensor:
        return rows_on_grid(weight, self.bits, self.group)


def rows_on_grid(weight: Tensor, bits: int, group: int | None) -> Tensor:
    """A matrix rounded to a symmetric grid a group of a row; None: a row. Straight-through in the backward
    pass."""
    if group is None:
        return fake_quantise(weight, symmetric_grid(weight, bits, 1))
    parts = weight.unflatten(1, (-1, group))
    return fake_quantise(parts, symmetric_grid(parts, bits, 2)).flatten(1)


def prepare(
    model: nn.Module,
    bits: int = 4,
    group: int | None = None,
    inputs: bool = False,
    whole_embeddings: bool = False,
) -> nn.Module:
    """The model, in place, with every linear layer and embedding on its grid.

    A matrix whose rows are not whole groups gets 8 bits and a scale a row, as it is stored then.

    Args:
        whole_embeddings: embeddings are on their grid wherever the model reads them, not only where rows are
            looked up: for models that multiply by an embedding. Slower, as all rows are rounded each time.
    """
    for parent, name, layer in _layers(model):
        if isinstance(layer, QuantisedLinear | QuantisedEmbedding) or parametrize.is_parametrized(layer):
            continue
        whole = group is None or layer.weight.shape[1] % group == 0
        how = (bits, group) if whole else (8, None)
        if isinstance(layer, nn.Embedding) and whole_embeddings:
            parametrize.register_parametrization(layer, "weight", OnGrid(*how))
            continue
        made = (
            QuantisedLinear(layer, *how, inputs)
            if isinstance(layer, nn.Linear)
            else QuantisedEmbedding(layer, *how)
        )
        setattr(parent, name, made.to(layer.weight.device).train(layer.training))
    return model


def finish(model: nn.Module) -> nn.Module:
    """The model, in place, with ordinary layers again, their weights rounded to the grid."""
    for parent, name, layer in _layers(model):
        if isinstance(layer, QuantisedLinear | QuantisedEmbedding):
            setattr(parent, name, _plain(layer).to(layer.weight.device).train(layer.training))
        elif parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight")
    return model


def _plain(layer: QuantisedLinear | QuantisedEmbedding) -> nn.Linear | nn.Embedding:
    """A weight that is shared is rounded again, which leaves it where it is."""
    with torch.no_grad():
        layer.weight.copy_(rows_on_grid(layer.weight, layer.bits, layer.group))
    kept = layer.weight
    made: nn.Linear | nn.Embedding
    if isinstance(layer, QuantisedEmbedding):
        made = nn.Embedding(layer.num_embeddings, layer.embedding_dim, layer.padding_idx, dtype=kept.dtype)
    else:
        made = nn.Linear(layer.in_features, layer.out_features, layer.bias is not None, dtype=kept.dtype)
        made.bias = layer.bias
    made.weight = kept
    return made


def _layers(model: nn.Module) -> list[tuple[nn.Module, str, nn.Linear | nn.Embedding]]:
    return [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.Linear | nn.Embedding)
    ]
