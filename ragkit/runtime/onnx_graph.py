"""Graphs that ONNX Runtime runs, in fp32 or int8, wherever OpenVINO is not to be had."""

import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ragkit.errors import RagkitError
from ragkit.runtime.graph import Inputs, Output
from ragkit.runtime.precision import Precision
from ragkit.runtime.quiet import quiet


def write(network: nn.Module, path: Path, precision: Precision, samples: Sequence[Sequence[Tensor]]) -> None:
    """The network as a graph at `path`; see `exported`. Raises what the conversion raises."""
    size = torch.export.Dim.DYNAMIC
    example = tuple(torch.cat([x, x]) for x in samples[0])  # a batch of one would be taken for a constant
    names = [f"input_{n}" for n in range(len(example))]
    whole = path.with_suffix(".float.onnx") if precision == "int8" else path
    with warnings.catch_warnings(), quiet("torch.onnx", "onnxscript", "onnx_ir"):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Positional(network),
            example,
            str(whole),
            dynamo=True,
            verbose=False,
            input_names=names,
            dynamic_shapes=(tuple({0: size, 1: size} for _ in example),),
            external_data=False,
        )
    if precision == "int8":
        _quantise(whole, path, names, samples)
        whole.unlink()


class _Positional(nn.Module):
    """However a network names its inputs, or does not."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Any:
        return self.network(*inputs)


def _quantise(whole: Path, path: Path, names: Sequence[str], samples: Sequence[Sequence[Tensor]]) -> None:
    """Weights in int8, a scale a row; inputs in 256 steps between their least and largest on the samples.

    Results stay float: quantised too, they take the cosine to single precision on MiniLM from .990 to .935.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    if not any(node.op_type in ("MatMul", "Gemm") for node in onnx.load(whole).graph.node):
        raise RagkitError("the model has no linear layers that int8 could serve: use fp32")

    class Samples(CalibrationDataReader):
        def __init__(self) -> None:
            self._rest = iter(samples)

        def get_next(self) -> dict[str, Any] | None:
            sample = next(self._rest, None)
            return None if sample is None else {n: x.numpy() for n, x in zip(names, sample, strict=True)}

    layers = ["MatMul", "Gemm"]
    with warnings.catch_warnings(), quiet(None):
        warnings.simplefilter("ignore")
        quantize_static(
            whole,
            path,
            Samples(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=layers,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True, "OpTypesToExcludeOutputQuantization": layers},
        )


class OnnxGraph:
    multiple = 1

    def __init__(self, path: Path, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its own kinds, which it does not export
            raise RagkitError(
                f"the exported model {path} is damaged ({str(error).splitlines()[0]}): delete {path.parent}"
            ) from error
        self._names = [one.name for one in self._session.get_inputs()]
        self._threads = threads

    def run(self, batches: Iterable[Inputs]) -> list[tuple[Output, ...]]:
        return list(self._in_order(batches))

    def _in_order(self, batches: Iterable[Inputs]) -> Iterator[tuple[Output, ...]]:
        waiting: deque[Future[tuple[Output, ...]]] = deque()
        with ThreadPoolExecutor(self._threads) as pool:
            for batch in batches:
                waiting.append(pool.submit(self.run_one, batch))
                if len(waiting) > self._threads:  # one is made while the others are computed
                    yield waiting.popleft().result()
            for future in waiting:
                yield future.result()

    def run_one(self, batch: Inputs) -> tuple[Output, ...]:
        return tuple(self._session.run(None, dict(zip(self._names, batch, strict=True))))
