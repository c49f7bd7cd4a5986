"""Half precision: 16 bits a number. Row 148.

    FP16: 1 + 5 + 10 bits, up to 65,504, error at most 2^-11 of the number
    BF16: 1 + 8 + 7 bits, float32's range, error at most 2^-8

The notes go straight from FP32 to FP16 or INT4. BF16 loses three more bits of each number but never
overflows where float32 does not.
"""

import torch
from torch import Tensor

from ragkit.errors import RagkitError

UNIT_ROUNDOFF = {torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}
"""Largest relative error of a number in the type's normal range."""


def cast(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """The nearest numbers of the type.

    Raises:
        RagkitError: if a finite number is beyond the type's range.
    """
    found = weight.to(dtype)
    if bool((found.isinf() & weight.isfinite()).any()):
        largest = torch.finfo(dtype).max
        raise RagkitError(
            f"{weight.abs().max():.3g} is beyond {largest:g}, the largest {dtype}: use bfloat16"
        )
    return found
