"""Which numbers a processor computes in, and which of them a user asks for."""

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Runtime = Literal["torch", "openvino"]
Precision = Literal["fp32", "bf16", "int8"]
RUNTIMES: tuple[Runtime, ...] = ("torch", "openvino")
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "int8")
AUTO = "auto"


def computes_bf16(device: "torch.device") -> bool:
    """Whether the device multiplies bfloat16 matrices natively (emulation would be slower than fp32)."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def native_precision(device: "torch.device") -> "torch.autocast":
    """A context in which matrices are multiplied in bfloat16 where the device does so natively.

    An encoder's vectors move by less than a hundredth of their length, in half the time.
    """
    import torch

    return torch.autocast(device.type, torch.bfloat16, enabled=computes_bf16(device))
