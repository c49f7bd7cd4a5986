"""Which numbers a processor computes in, by what, and which of them a user asks for."""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from ragkit.errors import RagkitError

if TYPE_CHECKING:
    import torch

GraphRuntime = Literal["openvino", "onnx"]
Runtime = Literal["torch", "openvino", "onnx"]
Precision = Literal["fp32", "bf16", "int8"]
RUNTIMES: tuple[Runtime, ...] = ("torch", "openvino", "onnx")
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "int8")
AUTO = "auto"

PACKAGES: dict[GraphRuntime, tuple[tuple[str, ...], str]] = {
    "openvino": (("openvino",), "fast"),
    "onnx": (("onnxruntime", "onnxscript"), "onnx"),
}
"""What a runtime needs, and the extra of ragkit that brings it; the faster one first."""


def installed(runtime: GraphRuntime) -> bool:
    modules, _ = PACKAGES[runtime]
    return all(find_spec(module) is not None for module in modules)


def graph_runtime(runtime: str, precision: str) -> GraphRuntime | None:
    """What computes graphs where these are asked for: the fastest that is installed and has the precision;
    None where torch is asked for or nothing is installed."""
    for candidate in PACKAGES:
        if runtime in (AUTO, candidate) and installed(candidate):
            if candidate == "onnx" and precision == "bf16":
                continue
            return candidate
    return None


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
        raise RagkitError("int8 needs the runtime openvino or onnx")
    if precision == "bf16" and runtime == "onnx":
        raise RagkitError("the runtime onnx computes in fp32 and int8: for bf16 take openvino or torch")
    graphs = runtime in PACKAGES or precision == "int8"
    if graphs and graph_runtime(runtime, precision) is None:
        missing: GraphRuntime = "onnx" if runtime == "onnx" else "openvino"
        extra = PACKAGES[missing][1]
        raise RagkitError(f"the runtime {missing} is not installed: pip install 'ragkit[{extra}]'")
