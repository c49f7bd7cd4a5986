"""A transformers model that reads two texts in a row, computed by torch or as a graph."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ragkit.runtime.graph import Graph
from ragkit.runtime.model_graph import ModelGraph
from ragkit.runtime.precision import AUTO
from ragkit.runtime.samples import sample_pairs

Batch = Mapping[str, npt.NDArray[np.int64]]
"""input_ids, attention_mask and, for a model that has them, token_type_ids: each (pairs, tokens)."""
Outputs = tuple[npt.NDArray[np.float64], ...]


class PairForward(Protocol):
    tokens_a_batch: int
    """With padding; what was measured to be fastest on a CPU."""
    multiple: int
    """Tokens that batches are best padded to a multiple of."""

    def __call__(self, batches: Iterable[Batch]) -> Iterator[Outputs]: ...


class PairModel:
    """A model whose fields `outputs` are asked for, batch after batch.

    Runtime, precision and identity are those of `ModelGraph`; in bfloat16 logits move by some hundredths. A
    model in float64 stays in it.
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
        def samples(inputs: Sequence[str]) -> Iterator[tuple[Tensor, ...]]:
            for question, passage in sample_pairs():
                encoded = tokenizer(question, passage, return_tensors="pt", return_token_type_ids=True)
                yield tuple(encoded[name] for name in inputs)

        self._model = ModelGraph(model, outputs, identity, samples, runtime, precision)
        self.precision = self._model.precision

    def forward(self, pairs: int) -> PairForward:
        """What reads so many pairs soonest."""
        graph = self._model.graph(pairs)
        if graph is not None:
            return _GraphPairs(graph, self._model.inputs)
        return _TorchPairs(self._model)


class _TorchPairs:
    tokens_a_batch = 8192
    multiple = 1

    def __init__(self, model: ModelGraph) -> None:
        self._network, self._half = model.network, model.precision == "bf16"

    def __call__(self, batches: Iterable[Batch]) -> Iterator[Outputs]:
        device = next(self._network.parameters()).device
        for batch in batches:
            tensors = [torch.from_numpy(batch[name]).to(device) for name in self._network.inputs]
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=self._half):
                found = self._network(*tensors)
            yield tuple(x.double().cpu().numpy() for x in found)


class _GraphPairs:
    tokens_a_batch = 2048

    def __init__(self, graph: Graph, inputs: Sequence[str]) -> None:
        self._graph, self._inputs, self.multiple = graph, inputs, graph.multiple

    def __call__(self, batches: Iterable[Batch]) -> Iterator[Outputs]:
        arrays = ([batch[name] for name in self._inputs] for batch in batches)
        return (tuple(x.astype(np.float64) for x in outputs) for outputs in self._graph.run(arrays))
