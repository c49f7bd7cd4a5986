"""A trained network as a graph: exported once, compiled for the processor, no Python between its layers."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ragkit.runtime.precision import GraphRuntime, Precision

Inputs = Sequence[npt.NDArray[np.int64]]
"""One batch: token ids, attention mask, and what else the network takes, each (texts, tokens)."""
Output = npt.NDArray[np.float32]


class Graph(Protocol):
    multiple: int
    """Tokens that batches are best padded to a multiple of."""

    def run(self, batches: Iterable[Inputs]) -> list[tuple[Output, ...]]:
        """The outputs of each batch, in order. The next batch is made while others are computed."""
        ...

    def run_one(self, batch: Inputs) -> tuple[Output, ...]:
        """The outputs of a single batch, without a queue."""
        ...


def open_graph(path: Path, runtime: GraphRuntime, precision: Precision, threads: int) -> Graph:
    """The graph in a file that `exported` wrote.

    Args:
        threads: batches that run at the same time, a core each.

    Raises RagkitError where the file is damaged.
    """
    if runtime == "onnx":
        from ragkit.runtime.onnx_graph import OnnxGraph

        return OnnxGraph(path, threads)
    from ragkit.runtime.openvino_graph import OpenVinoGraph

    return OpenVinoGraph(path, precision, threads)
