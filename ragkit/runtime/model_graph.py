"""A transformers model as a graph, from the moment on that it pays."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial

import torch
from torch import Tensor, nn

from ragkit.errors import RagkitError
from ragkit.runtime.export import exported, graph_path
from ragkit.runtime.graph import Graph, open_graph
from ragkit.runtime.precision import AUTO, PACKAGES, Precision, check_choice, computes_bf16, graph_runtime

WORTH_EXPORTING = 1000
"""Texts that take longer to read by torch than a graph to export."""


class ModelGraph:
    """Fields of a model's output, computed as a graph on a CPU from weights in float32.

    `auto`: where OpenVINO or ONNX Runtime is installed and the model was exported on this machine before or
    has many texts to read, and bfloat16 where the processor multiplies it natively.

    Args:
        outputs: names of the fields.
        identity: the sum of the model's weights and settings, asked for only where it can matter.
        samples: of texts like those to come the inputs so named; int8 takes its ranges from them.

    Attributes:
        inputs: what a batch consists of, in this order.
        precision: what is computed in, by torch as well where there is no graph.

    Raises RagkitError where the runtime or the precision is not to be had.
    """

    def __init__(
        self,
        model: nn.Module,
        outputs: Sequence[str],
        identity: Callable[[], str],
        samples: Callable[[Sequence[str]], Iterable[Sequence[Tensor]]],
        runtime: str = AUTO,
        precision: str = AUTO,
    ) -> None:
        check_choice(runtime, precision)
        some = next(model.parameters())
        self.network = _Exportable(model, outputs)
        self.inputs = self.network.inputs
        self._identity, self._samples = cache(identity), samples
        half = runtime != "onnx" and computes_bf16(some.device)
        native: Precision = "bf16" if half else "fp32"
        self.precision: Precision = native if precision == AUTO else precision  # type: ignore[assignment]
        asked = runtime in PACKAGES or precision == "int8"
        on_cpu = some.device.type == "cpu" and some.dtype == torch.float32
        self._runtime = graph_runtime(runtime, self.precision) if on_cpu else None
        self._graph: Graph | None = None
        if self._runtime and (asked or graph_path(self._identity(), self.precision, self._runtime).is_file()):
            self._graph = self._opened()

    def graph(self, texts: int) -> Graph | None:
        """What reads so many texts sooner than torch. What cannot be exported and was not asked for is left
        to torch."""
        if self._graph is None and self._runtime and texts >= WORTH_EXPORTING:
            try:
                self._graph = self._opened()
            except RagkitError:
                self._runtime = None
        return self._graph

    def _opened(self) -> Graph:
        assert self._runtime is not None
        samples = partial(self._samples, self.inputs)
        path = exported(self.network, self._identity(), self.precision, samples, self._runtime)
        return open_graph(path, self._runtime, self.precision, torch.get_num_threads())


class _Exportable(nn.Module):
    """The model as a function of tensors in an order, as tracing wants it."""

    def __init__(self, model: nn.Module, outputs: Sequence[str]) -> None:
        super().__init__()
        self.model, self.outputs = model, outputs
        typed = getattr(getattr(model, "config", None), "type_vocab_size", 0) > 1
        typed = typed and "token_type_ids" in inspect.signature(model.forward).parameters
        self.inputs = ("input_ids", "attention_mask", *(["token_type_ids"] if typed else []))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        found = self.model(**dict(zip(self.inputs, inputs, strict=True)))
        return tuple(getattr(found, name) for name in self.outputs)
