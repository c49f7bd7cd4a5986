"""Which numbers a processor computes in."""

import torch


def computes_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices natively (emulation would be slower than fp32)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def native_precision(device: torch.device) -> torch.autocast:
    """A context in which matrices are multiplied in bfloat16 where the device does so natively.

    An encoder's vectors move by less than a hundredth of their length, in half the time.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=computes_bf16(device))
