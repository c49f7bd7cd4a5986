"""A transformers model that reads two texts in a row, computed by torch or as a graph."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ragkit.runtime.export import exported, graph_path
from ragkit.runtime.graph import Graph, open_graph
from ragkit.runtime.precision import AUTO, PACKAGES, Precision, check_choice, computes_bf16, graph_runtime
from ragkit.runtime.samples import sample_texts

Batch = Mapping[str, npt.NDArray[np.int64]]
"""input_ids, attention_mask and, for a model that has them, token_type_ids: each (pairs, tokens)."""
Outputs = tuple[npt.NDArray[np.float64], ...]


WORTH_EXPORTING = 1000
"""Pairs that take longer to read by torch than a graph to export."""


class PairForward(Protocol):
    tokens_a_batch: int
    """With padding; what was measured to be fastest on a CPU."""
    multiple: int
    """Tokens that batches are best padded to a multiple of."""

    def __call__(self, batches: Iterable[Batch]) -> Iterator[Outputs]: ...


class PairModel:
    """A model whose fields `outputs` are asked for, batch after batch.

    `auto`: a graph where OpenVINO or ONNX Runtime is installed and the model was exported on this machine
    before or has many pairs to read, and bfloat16 where the processor multiplies it natively: logits move by
    some hundredths. A model in float64 stays in it.

    Args:
        identity: the sum of the model's weights and settings, asked for only where it can matter.

    Raises RagkitError where the runtime or the precision is not to be had.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        outputs: Sequence[str],
        identity: Callable[[], str],
        runtime: str = AUTO,
        precision: str = AUTO,
    ) -> None:
        check_choice(runtime, precision)
        some = next(model.parameters())
        self._network, self._tokenizer = _Exportable(model, outputs), tokenizer
        self._identity = cache(identity)
        half = runtime != "onnx" and computes_bf16(some.device)
        native: Precision = "bf16" if half else "fp32"
        self.precision: Precision = native if precision == AUTO else precision  # type: ignore[assignment]
        asked = runtime in PACKAGES or precision == "int8"
        on_cpu = some.device.type == "cpu" and some.dtype == torch.float32
        self._runtime = graph_runtime(runtime, self.precision) if on_cpu else None
        self._graph: _GraphPairs | None = None
        if self._runtime and (asked or graph_path(self._identity(), self.precision, self._runtime).is_file()):
            self._graph = self._exported()

    def forward(self, pairs: int) -> PairForward:
        """What reads so many pairs soonest."""
        if self._graph is None and self._runtime and pairs >= WORTH_EXPORTING:
            self._graph = self._exported()
        return self._graph or _TorchPairs(self._network, self.precision == "bf16")

    def _exported(self) -> "_GraphPairs":
        assert self._runtime is not None
        network, samples = self._network, lambda: _samples(self._tokenizer, self._network.inputs)
        path = exported(network, self._identity(), self.precision, samples, self._runtime)
        graph = open_graph(path, self._runtime, self.precision, torch.get_num_threads())
        return _GraphPairs(graph, network.inputs)


class _TorchPairs:
    tokens_a_batch = 8192
    multiple = 1

    def __init__(self, network: "_Exportable", half: bool) -> None:
        self._network, self._half = network, half

    def __call__(self, batches: Iterable[Batch]) -> Iterator[Outputs]:
        device = next(self._network.parameters()).device
        for batch in batches:
            tensors = [torch.from_numpy(batch[name]).to(device) for name in self._network.inputs]
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=self._half):
                found = self._network(*tensors)
            yield tuple(x.double().cpu().numpy() for x in found)


class _GraphPairs:
    tokens_a_batch = 2048

    def __init__(self, graph: Graph, inputs: tuple[str, ...]) -> None:
        self._graph, self._inputs, self.multiple = graph, inputs, graph.multiple

    def __call__(self, batches: Iterable[Batch]) -> Iterator[Outputs]:
        arrays = ([batch[name] for name in self._inputs] for batch in batches)
        return (tuple(x.astype(np.float64) for x in outputs) for outputs in self._graph.run(arrays))


class _Exportable(nn.Module):
    """The model as a function of tensors in an order, as tracing wants it."""

    def __init__(self, model: nn.Module, outputs: Sequence[str]) -> None:
        super().__init__()
        self.model, self.outputs = model, outputs
        typed = getattr(getattr(model, "config", None), "type_vocab_size", 0) > 1
        self.inputs = ("input_ids", "attention_mask", *(["token_type_ids"] if typed else []))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        found = self.model(**dict(zip(self.inputs, inputs, strict=True)))
        return tuple(getattr(found, name) for name in self.outputs)


def _samples(tokenizer: Any, inputs: Sequence[str]) -> Iterator[tuple[Tensor, ...]]:
    """A short text as question and the one after it as passage, one pair at a time."""
    texts = sample_texts()
    for question, passage in pairwise(texts):
        question = " ".join(question.split()[:12])
        encoded = tokenizer(question, passage, return_tensors="pt", return_token_type_ids=True)
        yield tuple(encoded[name] for name in inputs)
