"""Graphs that OpenVINO runs: operations fused, in half precision or int8, a stream a core, so that no core
waits for another."""

import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ragkit.errors import RagkitError
from ragkit.runtime.graph import Inputs, Output
from ragkit.runtime.precision import Precision, computes_bf16

SIZES = (16, 32)
"""Tokens: of most questions."""
OFTEN = 8
SMALL = 2**27
"""Bytes of a graph's weights."""


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

    multiple = 16
    """Rows of a processor's tile: attention over other numbers of tokens takes a tenth longer."""

    def __init__(self, path: Path, precision: Precision, threads: int) -> None:
        half = precision != "fp32" and computes_bf16(torch.device("cpu"))
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
        }
        ov = openvino()
        try:
            compiled = ov.Core().compile_model(str(path), "CPU", settings)
        except RuntimeError as error:
            raise RagkitError(
                f"the exported model {path} is damaged ({str(error).splitlines()[0]}): delete {path.parent}"
            ) from error
        self._queue = ov.AsyncInferQueue(compiled, threads)
        self._request = compiled.create_infer_request()
        self._sized = SizedGraphs(path, settings)

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
        sized = self._sized.of(batch)
        if sized is not None:
            return sized(batch)
        self._request.infer(list(batch))
        return _outputs(self._request)


class SizedGraphs:
    """The same graph compiled for single texts of certain lengths: what no shape has to be worked out for,
    between one layer and the next, takes half the time.

    Each holds the weights once more, and compiling it takes as long as some hundred questions gain by it: a
    large model has none, and the others get one when a length was seen `OFTEN`.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self._path, self._settings = path, settings
        self._sizes = SIZES if path.with_suffix(".bin").stat().st_size <= SMALL else ()
        self._seen: Counter[int] = Counter()
        self._compiled: dict[int, _SizedGraph] = {}

    def of(self, batch: Inputs) -> "_SizedGraph | None":
        """What computes a batch of this shape, where it is one of the sizes and came often enough."""
        texts, tokens = batch[0].shape
        if texts != 1 or tokens not in self._sizes:
            return None
        self._seen[tokens] += 1
        if tokens not in self._compiled and self._seen[tokens] > OFTEN:
            self._compiled[tokens] = _SizedGraph(self._path, self._settings, tokens)
        return self._compiled.get(tokens)


class _SizedGraph:
    def __init__(self, path: Path, settings: Mapping[str, Any], tokens: int) -> None:
        ov = openvino()
        core = ov.Core()
        model = core.read_model(str(path))
        model.reshape({one.any_name: [1, tokens] for one in model.inputs})
        self._request = core.compile_model(model, "CPU", dict(settings)).create_infer_request()
        self._inputs = [np.zeros((1, tokens), np.int64) for _ in model.inputs]
        for number, array in enumerate(self._inputs):
            self._request.set_input_tensor(number, ov.Tensor(array, shared_memory=True))
        self._outputs = [tensor.data for tensor in self._request.output_tensors]

    def __call__(self, batch: Inputs) -> tuple[Output, ...]:
        for mine, given in zip(self._inputs, batch, strict=True):
            mine[:] = given
        self._request.infer(share_outputs=True)
        return tuple(np.array(output, dtype=np.float32) for output in self._outputs)


def _outputs(request: Any) -> tuple[Output, ...]:
    return tuple(np.array(tensor.data, dtype=np.float32) for tensor in request.output_tensors)
