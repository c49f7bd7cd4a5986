"""How an encoder's tower is computed: by torch, or as a graph, several times as fast."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ragkit.encoders.encoder import Vectors
from ragkit.errors import RagkitError
from ragkit.runtime.graph import Graph
from ragkit.runtime.precision import computes_bf16, native_precision

Features = Mapping[str, Any]
"""What sentence-transformers' `preprocess` makes of a batch of texts."""


class Forward(Protocol):
    name: str
    """Runtime, precision, and the exported model's name in the cache."""
    tokens_a_batch: int
    """With padding; what was measured to be fastest on a CPU."""
    multiple: int
    """Tokens that batches are best padded to a multiple of."""

    def __call__(self, batches: Iterable[Features]) -> Iterator[Vectors]:
        """The vectors of each batch, (texts, dimension), as the tower gives them."""
        ...

    def one(self, batch: Features) -> Vectors:
        """The vectors of a single batch, without what serves many."""
        ...


class TorchForward:
    """Module by module. `half`: bfloat16 where the device multiplies it natively."""

    tokens_a_batch = 4096
    """Above it every layer's tensors are mapped and unmapped anew (14 % slower)."""
    multiple = 1

    def __init__(self, tower: nn.Module, device: torch.device, half: bool) -> None:
        self._tower, self._device, self._half = tower.eval(), device, half
        self.name = "torch bf16" if half and computes_bf16(device) else "torch fp32"

    def __call__(self, batches: Iterable[Features]) -> Iterator[Vectors]:
        for batch in batches:
            features = {k: v.to(self._device) if isinstance(v, Tensor) else v for k, v in batch.items()}
            with torch.inference_mode():
                if self._half:
                    with native_precision(self._device):
                        found = self._tower(features)
                else:
                    found = self._tower(features)
            yield found["sentence_embedding"].float().cpu().numpy()

    def one(self, batch: Features) -> Vectors:
        return next(self([batch]))


class GraphForward:
    """All batches at once, as many at a time as there are cores."""

    tokens_a_batch = 1024
    """What a layer computes of so many stays in a core's cache: 2048 take 5 to 14 % longer."""

    def __init__(self, graph: Graph, name: str) -> None:
        self._graph, self.name, self.multiple = graph, name, graph.multiple

    def __call__(self, batches: Iterable[Features]) -> Iterator[Vectors]:
        inputs = ([batch[name].numpy() for name in Exportable.inputs] for batch in batches)
        return iter([np.asarray(outputs[0]) for outputs in self._graph.run(inputs)])

    def one(self, batch: Features) -> Vectors:
        return self._graph.run_one([batch[name].numpy() for name in Exportable.inputs])[0]


class Exportable(nn.Module):
    """A tower as a function of token ids and attention mask, as tracing wants it.

    Raises RagkitError for a tower that takes more: one that leaves its prompt out of the pooling.
    """

    inputs = ("input_ids", "attention_mask")

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        if any(getattr(module, "include_prompt", True) is False for module in tower.modules()):
            raise RagkitError("an encoder that leaves its prompt out of the pooling needs the runtime torch")
        self.tower = tower

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        vectors: Tensor = self.tower({"input_ids": input_ids, "attention_mask": attention_mask})[
            "sentence_embedding"
        ]
        return vectors
