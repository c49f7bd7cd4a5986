"""Measures of rows 46-48, 52 and 53: convolutions against torch and scipy, their laws, their counts."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ragkit.models.vision.convolution import Convolution, convolve, parameter_count
from ragkit.models.vision.pointwise import Pointwise
from ragkit.models.vision.transposed_convolution import convolve_transposed
from ragkit.models.vision.windows import output_size

TORCH = {1: functional.conv1d, 2: functional.conv2d}
TORCH_TRANSPOSED = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d}


def convolution() -> dict[str, float]:
    """Row 46: values and gradients; then what a shift of the input does."""
    from scipy.signal import convolve2d, correlate2d

    torch.manual_seed(0)
    errors = []
    for axes in (1, 2):
        x, weight, bias = normal(2, 3, *[9] * axes), normal(4, 3, *[3] * axes), normal(4)
        errors.append(apart(convolve, TORCH[axes], (x, weight, bias)))
    image, kernel = normal(7, 8), normal(3, 3)
    ours = convolve(image[None, None], kernel[None, None])[0, 0]
    backwards = convolve(image[None, None], kernel.flip(0, 1)[None, None])[0, 0]
    correlated = torch.as_tensor(correlate2d(image, kernel, mode="valid"))
    convolved = torch.as_tensor(convolve2d(image, kernel, mode="valid"))
    return {
        "error": max(errors),
        "correlation - scipy's": gap(ours, correlated),
        "kernel reversed - scipy's convolution": gap(backwards, convolved),
    } | _shifted()


def _shifted() -> dict[str, float]:
    """The responses to an image with a wide dark frame, and to the same moved by (2, -3)."""
    image = torch.zeros(1, 1, 20, 20, dtype=torch.float64)
    image[..., 7:13, 7:13] = normal(6, 6)
    layer = Convolution(1, 5, (3, 3), padding="same").double()
    at, moved = (layer(x).relu().detach() for x in (image, image.roll((2, -3), (2, 3))))
    return {
        "f(shift x) - shift f(x)": gap(moved, at.roll((2, -3), (2, 3))),
        "pooled f(shift x) - pooled f(x)": gap(moved.amax((2, 3)), at.amax((2, 3))),
        "f(shift x) - f(x)": gap(moved, at),
    }


def geometry() -> dict[str, float]:
    """Row 47: 200 random sizes, kernels, strides, dilations and paddings, in one and two dimensions."""
    generator = torch.Generator().manual_seed(0)

    def drawn(low: int, high: int, count: int) -> list[int]:
        return torch.randint(low, high + 1, (count,), generator=generator).tolist()

    off, errors = 0, []
    for number in range(200):
        axes = 1 + number % 2
        kernel, dilation = drawn(1, 4, axes), drawn(1, 3, axes)
        by_name = number % 4 == 0
        stride = [1] * axes if by_name else drawn(1, 3, axes)
        padding = ("same", "valid")[number % 8 // 4] if by_name else drawn(0, 3, axes)
        x = normal(1, 2, *drawn(10, 14, axes))
        weight = normal(3, 2, *kernel)
        how: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation}
        ours = convolve(x, weight, **how)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch tells that an odd zero of "same" costs it a copy
            theirs = TORCH[axes](x, weight, None, **how)
        formula = list(ours.shape[2:])
        if not isinstance(padding, str):
            terms = zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
            formula = [output_size(n, k, stride=s, padding=p, dilation=d) for n, k, s, p, d in terms]
        off += not list(ours.shape[2:]) == list(theirs.shape[2:]) == formula
        errors.append(gap(ours, theirs) if ours.shape == theirs.shape else float("inf"))
    x = normal(1, 1, 9, 9)
    notes = convolve(x, normal(1, 1, 3, 3), padding="valid", variant="notes")
    return {"shapes off": off, "error": max(errors), "notes' valid changes the size by": 9 - notes.shape[-1]}


def channels() -> dict[str, float]:
    """Row 48: 20 layers beside nn.Conv2d, and the notes' 27 weights and one bias."""
    off = 0
    for number in range(20):
        inputs, outputs, kernel = 1 + number % 4, 1 + number % 7, (1 + number % 5, 1 + number % 3)
        theirs = sum(p.numel() for p in nn.Conv2d(inputs, outputs, kernel).parameters())
        ours = sum(p.numel() for p in Convolution(inputs, outputs, kernel).parameters())
        off += not parameter_count(inputs, outputs, kernel) == ours == theirs
    return {"layers off": off, "parameters of a 3x3 kernel on RGB": parameter_count(3, 1, (3, 3))}


def transposed() -> dict[str, float]:
    """Row 52: parity with its gradients, and <A x, y> = <x, Aᵀ y> over 50 random geometries."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    errors, adjoint = [], []
    for number in range(50):
        axes = 1 + number % 2
        stride, dilation, padding = torch.randint(1, 4, (3,), generator=generator).tolist()
        how: dict[str, Any] = {"stride": stride, "dilation": dilation, "padding": padding - 1}
        x, weight = normal(2, 3, *[12 + number % 3] * axes), normal(4, 3, *[3] * axes)
        forward = convolve(x, weight, **how)
        y = normal(*forward.shape)
        # The sizes that a stride takes to the same one differ by `extra`.
        back = (forward.shape[-1] - 1) * stride - 2 * (padding - 1) + 2 * dilation + 1
        extra = x.shape[-1] - back
        ours = convolve_transposed(y, weight, extra=extra, **how)
        adjoint.append(abs(float((forward * y).sum() - (x * ours).sum())))
        errors.append(
            apart(
                lambda *given, e=extra, h=how: convolve_transposed(*given, extra=e, **h),
                lambda x, w, b, e=extra, h=how, a=axes: TORCH_TRANSPOSED[a](x, w, b, output_padding=e, **h),
                (y, weight, normal(3)),
            )
        )
    return {"error": max(errors), "<A x, y> - <x, Aᵀ y>": max(adjoint)}


def pointwise() -> dict[str, float]:
    """Row 53."""
    torch.manual_seed(0)
    layer, linear = Pointwise(5, 3).double(), nn.Linear(5, 3).double()
    with torch.no_grad():
        layer.bias.normal_()
        linear.weight.copy_(layer.weight)
        linear.bias.copy_(layer.bias)
    x = normal(2, 5, 6, 7)
    by_pixel = linear(x.movedim(1, -1)).movedim(-1, 1)
    as_kernel = convolve(x, layer.weight[..., None, None], layer.bias)
    return {"error": gap(layer(x), by_pixel), "1x1 - convolution": gap(layer(x), as_kernel)}


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def gap(a: Tensor, b: Tensor) -> float:
    """The largest difference; infinite where the shapes differ."""
    return (a - b).abs().max().item() if a.shape == b.shape else float("inf")


def apart(ours: Callable[..., Tensor], theirs: Callable[..., Tensor], given: Sequence[Tensor]) -> float:
    """The largest difference in value, and in the gradients of Σ output² for everything given."""
    found = []
    for function in (ours, theirs):
        leaves = [tensor.clone().requires_grad_() for tensor in given]
        output = function(*leaves)
        found.append([output, *torch.autograd.grad((output**2).sum(), leaves)])
    return max(gap(a, b) for a, b in zip(*found, strict=True))
