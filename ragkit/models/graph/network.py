"""Graph neural network: H_0 = X, H_{k+1} = F[H_k, A, φ_k]; each layer looks one hop further. Rows 129, 132.

Between the layers stands dropout, also on the features (Kipf and Welling 2017), the last layer has no
activation: its rows are embeddings or logits. Each layer may be given its own neighbours, those that a
sampler drew for it (row 133).
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from ragkit.errors import RagkitError
from ragkit.models.graph.graph_layer import Activation, Aggregate, GraphLayer, Variant
from ragkit.models.graph.neighbours import Neighbours


class GraphNetwork(nn.Module):
    """A layer for each step of `widths`, the width of the features first, that of the outputs last.

    Args:
        heads: of attention in all layers but the last, which has one.
        dropout: the share of a layer's inputs, and of its attention weights, zeroed in training.
    """

    def __init__(
        self,
        widths: Sequence[int],
        aggregate: Aggregate = "kipf",
        *,
        activation: Activation = functional.relu,
        heads: int = 1,
        dropout: float = 0.0,
        variant: Variant = "standard",
    ) -> None:
        super().__init__()
        self.dropout = dropout
        layers: list[GraphLayer] = []
        for number, (_, outputs) in enumerate(pairwise(widths), 1):
            last = number == len(widths) - 1
            layers.append(
                GraphLayer(
                    layers[-1].width if layers else widths[0],  # a residual layer is wider than its outputs
                    outputs,
                    aggregate,
                    activation=(lambda h: h) if last else activation,
                    heads=1 if last else heads,
                    dropout=dropout if aggregate == "attention" else 0.0,
                    variant=variant,
                )
            )
        self.layers = nn.ModuleList(layers)
        self.width = layers[-1].width

    def forward(self, features: Tensor, neighbours: Neighbours | Sequence[Neighbours]) -> Tensor:
        """Features (nodes, width), dense or sparse, to (receivers of the last layer, width).

        Raises:
            RagkitError: if there are not as many neighbours as layers.
        """
        each = [neighbours] * len(self.layers) if isinstance(neighbours, Neighbours) else neighbours
        if len(each) != len(self.layers):
            raise RagkitError(f"neighbours for {len(each)} layers, there are {len(self.layers)}")
        h = features
        for layer, heard in zip(self.layers, each, strict=True):
            h = layer(dropped(h, self.dropout, self.training), heard)
        return h


def dropped(h: Tensor, share: float, training: bool) -> Tensor:
    """Dropout (row 45); of a sparse tensor, which stays sparse, only the values can fall."""
    if not training or not share or not h.is_sparse:
        return functional.dropout(h, share, training)
    h = h.coalesce()
    values = functional.dropout(h.values(), share)
    return torch.sparse_coo_tensor(h.indices(), values, h.shape, is_coalesced=True, check_invariants=False)
