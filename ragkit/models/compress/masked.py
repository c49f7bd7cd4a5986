"""The masked network f(x; m ⊙ θ), and an optimiser that leaves pruned weights pruned. Row 146.

Two ways to the same training: `masked` computes with m ⊙ θ whatever θ is; `keep_pruned` multiplies θ by m
after each of the optimiser's steps, so that the model stays an ordinary one that any loader reads.
Masking the gradient alone is not enough: Adam's moments of before the pruning and weight decay move
weights whose gradient is 0. The notes print ‖m_0‖ ≪ |θ| for the number of weights left; it is ‖m‖₀, the
count of ones.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ragkit.models.compress.magnitude import apply_masks


def masked(model: nn.Module, masks: Mapping[str, Tensor], *inputs: Tensor) -> Any:
    """f(x; m ⊙ θ): the model's output with masked weights, differentiable in θ."""
    weights = {name: model.get_parameter(name) * mask for name, mask in masks.items()}
    return functional_call(model, weights, inputs)


def keep_pruned(optimiser: torch.optim.Optimizer, model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """From now on each step of the optimiser ends with θ ← m ⊙ θ. `masks` may be changed in place."""
    apply_masks(model, masks)
    optimiser.register_step_post_hook(lambda *_: apply_masks(model, masks))
