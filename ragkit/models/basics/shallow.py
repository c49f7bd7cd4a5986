"""Shallow network: h_d = a[θ_d0 + Σ_i θ_di x_i],  y_j = φ_j0 + Σ_d φ_jd h_d. Rows 1, 7.

One input, one output and three hidden units have 10 parameters, 3D + 1 for D units; in general there are
D (D_i + 1) + D_o (D + 1). All outputs share the hidden units, which is why they are not independent.
"""

import torch
from torch import Tensor, nn

from ragkit.models.basics.activations import activation


class ShallowNetwork(nn.Module):
    """`theta` (units, inputs + 1) and `phi` (outputs, units + 1), the bias in column 0 as in the notes."""

    def __init__(self, inputs: int, units: int, outputs: int, activation_name: str = "relu") -> None:
        super().__init__()
        self.activation = activation(activation_name)
        self.theta = nn.Parameter(torch.randn(units, inputs + 1) / (inputs + 1) ** 0.5)
        self.phi = nn.Parameter(torch.randn(outputs, units + 1) / (units + 1) ** 0.5)

    def hidden(self, x: Tensor) -> Tensor:
        """(batch, inputs) to the hidden units (batch, units)."""
        return self.activation(self.theta[:, 0] + x @ self.theta[:, 1:].T)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs) to (batch, outputs)."""
        return self.phi[:, 0] + self.hidden(x) @ self.phi[:, 1:].T
