"""Which numbers a processor computes in, and which of them a user asks for."""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from ragkit.errors import RagkitError

if TYPE_CHECKING:
    import torch

Runtime = Literal["torch", "openvino"]
Precision = Literal["fp32", "bf16", "int8"]
RUNTIMES: tuple[Runtime, ...] = ("torch", "openvino")
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "int8")
AUTO = "auto"


def openvino_installed() -> bool:
    return find_spec("openvino") is not None


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


def check_choice(runtime: str, precision: str) -> None:
    """Raises RagkitError for a runtime or a precision that there is not, or not on this machine."""
    if runtime not in (AUTO, *RUNTIMES):
        raise RagkitError(f"no runtime {runtime!r}: there are {', '.join((AUTO, *RUNTIMES))}")
    if precision not in (AUTO, *PRECISIONS):
        raise RagkitError(f"no precision {precision!r}: there are {', '.join((AUTO, *PRECISIONS))}")
    if precision == "int8" and runtime == "torch":
        raise RagkitError("int8 needs the runtime openvino")
    if (runtime == "openvino" or precision == "int8") and not openvino_installed():
        raise RagkitError("the runtime openvino is not installed: pip install 'ragkit[fast]'")
