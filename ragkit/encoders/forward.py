"""How an encoder's tower is computed: by torch, or as a graph of OpenVINO, several times as fast."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ragkit.encoders.encoder import Vectors
from ragkit.errors import RagkitError
from ragkit.runtime.graph import Graph
from ragkit.runtime.precision import native_precision

Features = Mapping[str, Any]
"""What sentence-transformers' `preprocess` makes of a batch of texts."""


class Forward(Protocol):
    tokens_a_batch: int
    """With padding; what was measured to be fastest on a CPU."""

    def __call__(self, batches: Iterable[Features]) -> Iterator[Vectors]:
        """The vectors of each batch, (texts, dimension), as the tower gives them."""
        ...


class TorchForward:
    """Module by module. `half`: bfloat16 where the device multiplies it natively."""

    tokens_a_batch = 4096
    """Above it every layer's tensors are mapped and unmapped anew (14 % slower)."""

    def __init__(self, tower: nn.Module, device: torch.device, half: bool) -> None:
        self._tower, self._device, self._half = tower.eval(), device, half

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


class GraphForward:
    """All batches at once, as many at a time as there are cores."""

    tokens_a_batch = 2048

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def __call__(self, batches: Iterable[Features]) -> Iterator[Vectors]:
        inputs = ([batch[name].numpy() for name in Exportable.inputs] for batch in batches)
        return iter([np.asarray(outputs[0]) for outputs in self._graph.run(inputs)])


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
