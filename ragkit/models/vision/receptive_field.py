"""Receptive field: r ← r + (k-1) d Π s, the inputs that one output can see. Row 49.

Layer by layer, with Π s the product of the strides of the layers before (the *jump* between neighbouring
outputs, in inputs). The notes say that elements of deep layers stand for larger parts of the image and give
no formula (Araujo, Norris and Sim, Computing Receptive Fields of CNNs, Distill 2019).

The field is what *can* be seen: in a trained network the middle counts most (Luo et al. 2016), which
`gradient_map` shows.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ragkit.errors import RagkitError


class Window(NamedTuple):
    """A layer that looks at a window, along one axis."""

    kernel: int
    stride: int = 1
    dilation: int = 1
    padding: int = 0


class ReceptiveField(NamedTuple):
    """Output i sees `size` inputs from `start` + `jump` i on; negative ones lie in the padding."""

    size: int
    jump: int
    start: int

    def span(self, i: int) -> tuple[int, int]:
        """The first and the last input that output i sees."""
        first = self.start + self.jump * i
        return first, first + self.size - 1


def receptive_field(layers: Iterable[Window]) -> ReceptiveField:
    """The field of the outputs of these layers, the first of which reads the input."""
    size, jump, start = 1, 1, 0
    for kernel, stride, dilation, padding in layers:
        size += (kernel - 1) * dilation * jump
        start -= padding * jump
        jump *= stride
    return ReceptiveField(size, jump, start)


WINDOWED = (nn.Conv1d, nn.Conv2d, nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d)
ELEMENTWISE = (nn.ReLU, nn.Dropout, nn.Identity, nn.BatchNorm1d, nn.BatchNorm2d)
"""Layers that do not look at neighbours, in evaluation mode."""


def windows(layers: Iterable[nn.Module]) -> list[Window]:
    """The windows of layers that are called one after the other, along the first spatial axis.

    Raises:
        RagkitError: if one of them is no convolution, pool or elementwise layer, or pads by "same".
    """
    found = []
    for layer in layers:
        if isinstance(layer, WINDOWED):
            kernel, stride, padding = (_first(v) for v in (layer.kernel_size, layer.stride, layer.padding))
            found.append(Window(kernel, stride, _first(getattr(layer, "dilation", 1)), padding))
        elif not isinstance(layer, ELEMENTWISE):
            name = type(layer).__name__
            raise RagkitError(
                f"no receptive field through {name}: expected convolutions, pools and activations"
            )
    return found


def gradient_map(net: nn.Module, x: Tensor, position: Sequence[int]) -> Tensor:
    """Σ |∂ output / ∂ x| over channels for the output at `position`, of x (1, channels, *sizes): (*sizes)."""
    x = x.detach().clone().requires_grad_()
    output = net(x)[(0, slice(None), *position)].abs().sum()
    return torch.autograd.grad(output, x)[0][0].abs().sum(dim=0)


def measured_span(net: nn.Module, x: Tensor, position: Sequence[int]) -> list[tuple[int, int]]:
    """The first and the last input with a gradient, along each axis.

    Max pools and ReLUs hide inputs: average pools and positive weights show all that can be seen.

    Raises:
        RagkitError: if the output depends on no input.
    """
    seen = gradient_map(net, x, position).nonzero()
    if not len(seen):
        raise RagkitError(f"the output at {tuple(position)} depends on no input")
    return list(zip(seen.amin(dim=0).tolist(), seen.amax(dim=0).tolist(), strict=True))


def _first(value: object) -> int:
    number = value[0] if isinstance(value, tuple) else value
    if not isinstance(number, int):
        raise RagkitError(f"padding {value!r}: a receptive field wants it as a number")
    return number
