"""Vanishing and exploding gradients: E‖∂l/∂f_k‖² = D_{k+1} σ²/2 · E‖∂l/∂f_{k+1}‖² (ReLUs). Row 34.

K layers multiply K such factors: below one the gradient vanishes towards the input, above one it explodes.
The notes call both "exploding", and say "values below zero" where below one is meant. With He's σ² = 2/D
(row 35) the factor is 1.
"""

import torch
from torch import Tensor

from ragkit.models.basics.backpropagation import backward_pass, forward_pass
from ragkit.models.basics.initialisation import he


def gradient_norms(weights: list[Tensor], x: Tensor, d_output: Tensor) -> list[float]:
    """‖∂l/∂f_k‖ of each layer k of an MLP without biases, from the first to the last."""
    biases = [torch.zeros(len(weight), dtype=weight.dtype) for weight in weights]
    gradients = backward_pass(weights, forward_pass(weights, biases, x), d_output)
    return [float(gradient.norm()) for gradient in gradients.pre_activations]


def deep_weights(
    layers: int, width: int, variance: float = 1.0, generator: torch.Generator | None = None
) -> list[Tensor]:
    """Square layers with `variance` times He's variance, in float64."""
    return [he(width, width, generator=generator).double() * variance**0.5 for _ in range(layers)]
