"""Measures of rows 33-35: backpropagation against autograd, gradients through 50 layers, initial weights."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ragkit.models.basics.backpropagation import backward_pass, forward_pass
from ragkit.models.basics.gradient_flow import deep_weights, gradient_norms
from ragkit.models.basics.initialisation import he, xavier
from ragkit.models.basics.mlp import Mlp

SEEDS = (0, 1, 2)
LAYERS, WIDTH = 50, 256


class OwnBackward(torch.autograd.Function):
    """The MLP as one operation whose gradient is ours, for torch's numerical check."""

    @staticmethod
    def forward(ctx, x: Tensor, *parameters: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x, *parameters)
        return forward_pass(parameters[::2], parameters[1::2], x).pre_activations[-1]

    @staticmethod
    def backward(ctx, d_output: Tensor):  # type: ignore[no-untyped-def]
        x, *parameters = ctx.saved_tensors
        found = backward_pass(parameters[::2], forward_pass(parameters[::2], parameters[1::2], x), d_output)
        pairs = zip(found.weights, found.biases, strict=True)
        return (found.x, *(gradient for pair in pairs for gradient in pair))


def backpropagation() -> dict[str, float]:
    """Row 33: four layers; every gradient against autograd's, and against differences of the output."""
    torch.manual_seed(0)
    net, x = Mlp([5, 9, 8, 7, 3]).double(), torch.randn(12, 5, dtype=torch.float64, requires_grad=True)
    parameters = list(net.parameters())
    for bias in parameters[1::2]:
        nn.init.normal_(bias)
    d_output = torch.randn(12, 3, dtype=torch.float64)
    wanted = torch.autograd.grad(net(x), [*parameters, x], d_output)
    weights, biases = [p.detach() for p in parameters[::2]], [p.detach() for p in parameters[1::2]]
    found = backward_pass(weights, forward_pass(weights, biases, x.detach()), d_output)
    ours = [gradient for pair in zip(found.weights, found.biases, strict=True) for gradient in pair]
    error = max((a - b).abs().max().item() for a, b in zip([*ours, found.x], wanted, strict=True))
    try:
        agrees = torch.autograd.gradcheck(OwnBackward.apply, (x[:3], *parameters))
    except torch.autograd.gradcheck.GradcheckError:  # type: ignore[attr-defined]
        agrees = False
    return {"error": error, "gradcheck failures": not agrees}


def vanishing_and_exploding() -> dict[str, list[float]]:
    """Row 34: ‖∂l/∂f‖ of the first of 50 layers over that of the last."""

    def ratios(variance: float) -> list[float]:
        found = []
        for seed in SEEDS:
            generator = torch.Generator().manual_seed(seed)
            weights = deep_weights(LAYERS, WIDTH, variance, generator)
            x = torch.randn(64, WIDTH, generator=generator, dtype=torch.float64)
            d_output = torch.randn(64, WIDTH, generator=generator, dtype=torch.float64)
            norms = gradient_norms(weights, x, d_output)
            found.append(norms[0] / norms[-1])
        return found

    return {
        "ratio at 0.1 × He's variance": ratios(0.1),
        "ratio at He's variance": ratios(1.0),
        "ratio at 10 × He's variance": ratios(10.0),
    }


def initialisation() -> dict[str, float | list[float]]:
    """Row 35: variances against the formula and torch's own draws, and the activations of 50 layers."""
    off = []
    for seed in SEEDS:
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        outputs, inputs = 300, 700
        drawn: list[tuple[Tensor, float, Callable[[Tensor], Tensor]]] = [
            (he(outputs, inputs, "normal", generator), 2 / inputs, nn.init.kaiming_normal_),
            (he(outputs, inputs, "uniform", generator), 2 / inputs, _kaiming_uniform),
            (xavier(outputs, inputs, "normal", generator), 2 / (inputs + outputs), nn.init.xavier_normal_),
            (xavier(outputs, inputs, "uniform", generator), 2 / (inputs + outputs), nn.init.xavier_uniform_),
        ]
        for matrix, variance, theirs in drawn:
            reference = theirs(torch.empty(outputs, inputs)).var().item()
            off.append(max(abs(matrix.var().item() / v - 1) for v in (variance, reference)))
    drifts = []
    for seed in SEEDS:
        generator = torch.Generator().manual_seed(seed)
        weights = deep_weights(LAYERS, 512, generator=generator)
        x = torch.randn(64, 512, generator=generator, dtype=torch.float64)
        biases = [torch.zeros(512, dtype=torch.float64)] * LAYERS
        variances = [float(f.var()) for f in forward_pass(weights, biases, x).pre_activations]
        drifts.append(max(variances) / min(variances))
    return {"variance off": max(off), "largest / smallest variance of 50 layers": drifts}


def _kaiming_uniform(weights: Tensor) -> Tensor:
    return nn.init.kaiming_uniform_(weights, nonlinearity="relu")
