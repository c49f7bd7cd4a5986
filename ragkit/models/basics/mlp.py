"""Multi-layer perceptron: h_1 = a[β_0 + Ω_0 x],  h_{k+1} = a[β_k + Ω_k h_k],  y = β_K + Ω_K h_K. Rows 8, 9.

The notes say that each further layer splits every linear region in two. Only networks that fold the input do:
`tent` is one, and has 2^K regions; a network drawn at random has far fewer.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ragkit.errors import RagkitError
from ragkit.models.basics.activations import activation
from ragkit.models.basics.initialisation import he


class Mlp(nn.Module):
    """Layers of the given widths, from the input's to the output's: `Mlp([64, 32, 32, 10])` is two hidden
    layers of 32 units. The weights begin as He's normal ones (row 35), the biases at 0."""

    def __init__(self, widths: Sequence[int], activation_name: str = "relu") -> None:
        super().__init__()
        if len(widths) < 2 or min(widths) < 1:
            raise RagkitError(
                f"widths {list(widths)}: give the input's, each hidden layer's and the output's"
            )
        self.activation = activation(activation_name)
        layers = [nn.Linear(inputs, outputs) for inputs, outputs in pairwise(widths)]
        with torch.no_grad():
            for layer in layers:
                layer.weight.copy_(he(layer.out_features, layer.in_features))
                layer.bias.zero_()
        self.layers = nn.ModuleList(layers)

    def hidden(self, x: Tensor) -> list[Tensor]:
        """The activations of each hidden layer, (batch, width) each."""
        found = []
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
            found.append(x)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs) to (batch, outputs)."""
        output: Tensor = self.layers[-1]([x, *self.hidden(x)][-1])
        return output


def parameter_count(widths: Sequence[int]) -> int:
    """Weights and biases of an MLP of these widths: Σ (D_k + 1) D_{k+1}."""
    return sum((inputs + 1) * outputs for inputs, outputs in pairwise(widths))


def tent(layers: int) -> Mlp:
    """The K-layer network of two units a layer that folds [0, 1] K times: t∘...∘t, t(x) = 1 - |2x - 1|.

    t(x) = 2 ReLU[x] - 4 ReLU[x - ½] on [0, 1]; each layer computes both ReLUs of the t before it.
    """
    net = Mlp([1, *[2] * layers, 1]).double()
    fold = torch.tensor([2.0, -4.0], dtype=torch.float64)
    parameters = list(net.parameters())
    with torch.no_grad():
        for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
            weight.copy_(fold.expand_as(weight) if weight.shape[1] == 2 else torch.ones_like(weight))
            bias.copy_(torch.tensor([0.0, -0.5]) if len(bias) == 2 else torch.zeros(1))
    return net
