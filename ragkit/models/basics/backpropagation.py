"""Backpropagation: all gradients of an MLP in one pass backwards. Row 33.

    ∂l/∂f_k = 1[f_k > 0] ⊙ Ω_{k+1}ᵀ ∂l/∂f_{k+1},    ∂l/∂Ω_k = ∂l/∂f_k h_kᵀ,    ∂l/∂β_k = ∂l/∂f_k

f_k are the pre-activations, h_k the inputs of layer k, h_0 = x. The notes' (7.12) chains factors ∂f/∂h and
∂h/∂f: with ∂a/∂b as the Jacobian (rows of a, columns of b) the product only fits if each factor is
transposed, Ωᵀ for ∂f/∂h, which is what stands above. What is computed here are gradients; that weights
change is the optimiser's doing.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from ragkit.models.basics.activations import relu


class Forward(NamedTuple):
    """What the pass forwards leaves for the pass backwards."""

    inputs: list[Tensor]
    """h_k, (batch, width) for each layer."""
    pre_activations: list[Tensor]
    """f_k, (batch, width) for each layer; the last is the output."""


class Gradients(NamedTuple):
    weights: list[Tensor]
    biases: list[Tensor]
    pre_activations: list[Tensor]
    x: Tensor


def forward_pass(weights: Sequence[Tensor], biases: Sequence[Tensor], x: Tensor) -> Forward:
    """f_k = β_k + Ω_k h_k, h_{k+1} = ReLU[f_k], for weights (outputs, inputs) and x (batch, inputs)."""
    inputs, pre_activations = [x], [biases[0] + x @ weights[0].T]
    for weight, bias in zip(weights[1:], biases[1:], strict=True):
        inputs.append(relu(pre_activations[-1]))
        pre_activations.append(bias + inputs[-1] @ weight.T)
    return Forward(inputs, pre_activations)


def backward_pass(weights: Sequence[Tensor], forward: Forward, d_output: Tensor) -> Gradients:
    """The gradients of a loss whose gradient with respect to the output is `d_output` (batch, outputs)."""
    d_f = d_output
    d_weights, d_biases, d_pre = [], [], []
    for layer in reversed(range(len(weights))):
        d_pre.append(d_f)
        d_weights.append(d_f.T @ forward.inputs[layer])
        d_biases.append(d_f.sum(dim=0))
        d_h = d_f @ weights[layer]  # a row for each item: (Ωᵀ d_f) written from the left
        if layer:
            d_f = d_h * (forward.pre_activations[layer - 1] > 0)
    return Gradients(d_weights[::-1], d_biases[::-1], d_pre[::-1], d_h)
