"""Layer mix: γ Σ_j softmax(s)_j h_j (Peters et al. 2018, eq. 1). Row 85.

allenai/bilm-tf writes softmax(s + 1/L), which is the same: softmax does not see a constant.
"""

import torch
from torch import Tensor, nn


class LayerMix(nn.Module):
    """(layers, …) to (…): the weighted mean of the layers times γ; starts as their plain mean.

    A task trains these layers + 1 numbers while the network below stays frozen.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(layers))
        self.scale = nn.Parameter(torch.ones(()))

    @property
    def weights(self) -> Tensor:
        return self.scores.softmax(0)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.scale * torch.tensordot(self.weights, hidden, dims=1)
