"""Graphs that OpenVINO runs: operations fused, in half precision or int8, a stream a core, so that no core
waits for another."""

import sys
import warnings
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ragkit.errors import RagkitError
from ragkit.runtime.graph import Inputs, Output
from ragkit.runtime.precision import Precision, computes_bf16


@cache
def openvino() -> Any:
    """The module. Its conversion reports to its makers who converts what, unless the package that does so is
    missing: here it is, whatever is installed.
    """
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    return openvino


def write(network: nn.Module, path: Path, precision: Precision, samples: Sequence[Sequence[Tensor]]) -> None:
    """The network as a graph at `path`; see `exported`. Raises what the conversion raises."""
    from ragkit.runtime.int8 import input_ranges, quantise

    ov = openvino()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # tracing warns of every size that a model asks for
        model = ov.convert_model(network, example_input=tuple(samples[0]))
    if precision == "int8" and not quantise(model, network, input_ranges(network, samples)):
        raise RagkitError("the model has no linear layers that int8 could serve: use bf16 or fp32")
    ov.save_model(model, str(path), compress_to_fp16=False)


class OpenVinoGraph:
    """`int8` multiplies in int8 what was quantised, the rest in `bf16` where the processor has it."""

    def __init__(self, path: Path, precision: Precision, threads: int) -> None:
        ov = openvino()
        half = precision != "fp32" and computes_bf16(torch.device("cpu"))
        try:
            compiled = ov.Core().compile_model(
                str(path),
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
                    "NUM_STREAMS": threads,
                    "INFERENCE_NUM_THREADS": threads,
                },
            )
        except RuntimeError as error:
            raise RagkitError(
                f"the exported model {path} is damaged ({str(error).splitlines()[0]}): delete {path.parent}"
            ) from error
        self._queue = ov.AsyncInferQueue(compiled, threads)
        self._request = compiled.create_infer_request()

    def run(self, batches: Iterable[Inputs]) -> list[tuple[Output, ...]]:
        found: dict[int, tuple[Output, ...]] = {}

        def keep(request: Any, number: int) -> None:
            found[number] = _outputs(request)

        self._queue.set_callback(keep)
        number = -1
        for number, batch in enumerate(batches):
            self._queue.start_async(list(batch), number)
        self._queue.wait_all()
        return [found[n] for n in range(number + 1)]

    def run_one(self, batch: Inputs) -> tuple[Output, ...]:
        self._request.infer(list(batch))
        return _outputs(self._request)


def _outputs(request: Any) -> tuple[Output, ...]:
    return tuple(np.array(tensor.data, dtype=np.float32) for tensor in request.output_tensors)
