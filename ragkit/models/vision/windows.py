"""Where the taps of a kernel fall: padding, stride, dilation. Row 47.

    size out = ⌊(n + 2p - d(k-1) - 1) / s⌋ + 1

for n inputs, a kernel of k taps, p zeros on each side, stride s and dilation d. Tap t of output i reads
input s i + d t - p; all that convolves, pools or upsamples in this folder is a loop over the taps.

The notes call "valid" the padding that keeps the size. Everywhere else that is "same", and "valid" is no
padding at all. `variant="notes"` takes their word: "valid" keeps the size.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, Literal

from torch import Tensor
from torch.nn import functional

from ragkit.errors import RagkitError

PerAxis = int | Sequence[int]
"""One number for all spatial axes, or one for each."""

Padding = PerAxis | Literal["same", "valid"]

Index = tuple[Any, ...]


def output_size(size: int, kernel: int, *, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """How many outputs `size` inputs give, with `padding` zeros on *each* side.

    Raises:
        RagkitError: if the kernel does not fit once.
    """
    reach = dilation * (kernel - 1) + 1
    if size + 2 * padding < reach:
        raise RagkitError(
            f"a kernel that reaches over {reach} does not fit {size} inputs with padding {padding}: "
            f"expected {reach} or more"
        )
    return (size + 2 * padding - reach) // stride + 1


def per_axis(value: PerAxis, axes: int, name: str, least: int = 1) -> tuple[int, ...]:
    """`value` as one number for each axis.

    Raises:
        RagkitError: if there are not as many, or one is below `least`.
    """
    values = (value,) * axes if isinstance(value, int) else tuple(value)
    if len(values) != axes or min(values) < least:
        raise RagkitError(f"{name} {value}: expected {axes} numbers, or one for all, of {least} or more")
    return values


def margins(
    padding: Padding,
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    variant: Literal["standard", "notes"] = "standard",
) -> list[tuple[int, int]]:
    """Zeros before and after each axis. An odd one of "same" goes after, as in torch.

    Raises:
        RagkitError: if "same" is asked for with a stride, or the padding is none that there is.
    """
    if padding == "valid" and variant == "notes":
        padding = "same"
    if padding == "valid":
        return [(0, 0)] * len(kernel)
    if padding == "same":
        if max(stride) > 1:
            raise RagkitError(f"padding 'same' keeps the size only at stride 1, not {max(stride)}")
        total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return [(t // 2, t - t // 2) for t in total]
    if isinstance(padding, str):
        raise RagkitError(f"padding {padding!r}: expected a number, 'same' or 'valid'")
    return [(p, p) for p in per_axis(padding, len(kernel), "padding", least=0)]


def padded(x: Tensor, around: Sequence[tuple[int, int]]) -> Tensor:
    """x (..., *sizes) with zeros around its last axes."""
    return functional.pad(x, [side for pair in reversed(around) for side in pair])


def taps(
    kernel: Sequence[int], sizes_out: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Iterator[tuple[Index, Index]]:
    """Each tap as an index of (..., *kernel), and the places that it reads for all outputs at once as an
    index of (..., *sizes), padding included."""
    for tap in product(*map(range, kernel)):
        axes = zip(tap, sizes_out, stride, dilation, strict=True)
        yield (..., *tap), (..., *(slice(d * t, d * t + s * (out - 1) + 1, s) for t, out, s, d in axes))
