"""Highway layer: g·relu(W x + b) + (1 - g)·x, g = σ(V x + c) (Srivastava et al. 2015). Row 84.

Not in the notes: ELMo's word encoder has two of them.
"""

import torch
from torch import Tensor, nn


class Highway(nn.Module):
    """(…, width) to the same; starts out carrying its input, as the gate's bias begins at -2."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.transform = nn.Linear(width, width)
        self.gate = nn.Linear(width, width)
        nn.init.constant_(self.gate.bias, -2.0)

    def forward(self, x: Tensor) -> Tensor:
        return torch.lerp(x, self.transform(x).relu(), self.gate(x).sigmoid())
