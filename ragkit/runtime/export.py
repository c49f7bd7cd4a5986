"""Networks written once as graphs, in the user's cache, by the sum of what they were made from."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import torch
from torch import Tensor, nn

from ragkit.errors import RagkitError
from ragkit.runtime.graph import open_graph
from ragkit.runtime.precision import GraphRuntime, Precision
from ragkit.runtime.quiet import quiet

FORMAT = 2
"""Raised when what is written changes: older files are then not read."""
AGREEMENT = 1e-3
"""Largest distance of a graph's output from the network's, as a share of the output's length."""

Samples = Callable[[], Iterable[Sequence[Tensor]]]
"""Inputs of a network, one text each, without padding."""


FILES: dict[GraphRuntime, str] = {"openvino": "model.xml", "onnx": "model.onnx"}


def graph_path(identity: str, precision: Precision, runtime: GraphRuntime = "openvino") -> Path:
    """Where the graph of the network with this sum is, or will be: one file for fp32 and bf16, which differ
    in how it is run, and one for int8."""
    kind = "int8" if precision == "int8" else "float"
    package = "onnxruntime" if runtime == "onnx" else runtime
    made_with = [FORMAT, runtime, kind, identity, version(package), version("torch"), version("transformers")]
    key = hashlib.sha256(json.dumps(made_with).encode()).hexdigest()
    return _folder() / key[:32] / FILES[runtime]


def exported(
    network: nn.Module,
    identity: str,
    precision: Precision,
    samples: Samples,
    runtime: GraphRuntime = "openvino",
) -> Path:
    """The graph of `network`, written now if it was not before.

    Args:
        identity: a sum of its weights and of all else that decides what it computes.
        samples: texts like those to come; int8 takes its ranges from them.

    Raises RagkitError where the network cannot be converted or its graph computes something else, and where
    the cache cannot be written.
    """
    path = graph_path(identity, precision, runtime)
    if path.is_file():
        return path
    network = network.eval()
    try:
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(mkdtemp(prefix="new-", dir=path.parent.parent))
        try:
            _write(network, folder / path.name, precision, list(samples()), runtime)
            folder.rename(path.parent)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        if not path.is_file():  # else another process was faster
            raise RagkitError(
                f"cannot write the exported model {path}: {error.strerror or error}; "
                "set XDG_CACHE_HOME to a folder with room"
            ) from error
    return path


def _write(
    network: nn.Module,
    path: Path,
    precision: Precision,
    samples: Sequence[Sequence[Tensor]],
    runtime: GraphRuntime,
) -> None:
    if runtime == "onnx":
        from ragkit.runtime.onnx_graph import write
    else:
        from ragkit.runtime.openvino_graph import write
    try:
        with quiet():
            write(network, path, precision, samples)
    except (RagkitError, OSError):
        raise
    except Exception as error:
        raise RagkitError(
            f"the model cannot be exported to {runtime} ({_first(error)}): use torch"
        ) from error
    if precision != "int8":
        _compare(network, path, samples[1:5], runtime)


def _compare(
    network: nn.Module, path: Path, samples: Sequence[Sequence[Tensor]], runtime: GraphRuntime
) -> None:
    """Sizes that the tracing took for constants show on texts of other lengths."""
    graph = open_graph(path, runtime, "fp32", threads=1)
    for sample in samples:
        with torch.inference_mode():
            wanted = network(*sample)
        first = (wanted if isinstance(wanted, Tensor) else wanted[0]).float().numpy()
        found = graph.run_one([x.numpy() for x in sample])[0]
        if found.shape != first.shape or np.linalg.norm(found - first) > AGREEMENT * np.linalg.norm(first):
            raise RagkitError(f"the model exported to {runtime} computes something else: use torch")


def _folder() -> Path:
    """$XDG_CACHE_HOME/ragkit/graphs, ~/.cache by default (XDG Base Directory Specification 0.8)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ragkit" / "graphs"


def _first(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
