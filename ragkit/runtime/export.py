"""Networks written once as OpenVINO graphs, in the user's cache, by the sum of what they were made from."""

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import torch
from torch import Tensor, nn

from ragkit.errors import RagkitError
from ragkit.runtime.graph import Graph, openvino
from ragkit.runtime.int8 import input_ranges, quantise
from ragkit.runtime.precision import Precision

FORMAT = 1
"""Raised when what is written changes: older files are then not read."""
AGREEMENT = 1e-3
"""Largest distance of a graph's output from the network's, as a share of the output's length."""

Samples = Callable[[], Iterable[Sequence[Tensor]]]
"""Inputs of a network, one text each, without padding."""


def graph_path(identity: str, precision: Precision) -> Path:
    """Where the graph of the network with this sum is, or will be: one file for fp32 and bf16, which differ
    in how it is run, and one for int8."""
    kind = "int8" if precision == "int8" else "float"
    made_with = [FORMAT, kind, identity, version("openvino"), version("torch"), version("transformers")]
    key = hashlib.sha256(json.dumps(made_with).encode()).hexdigest()
    return _folder() / key[:32] / "model.xml"


def exported(network: nn.Module, identity: str, precision: Precision, samples: Samples) -> Path:
    """The graph of `network`, written now if it was not before.

    Args:
        identity: a sum of its weights and of all else that decides what it computes.
        samples: texts like those to come; int8 takes its ranges from them.

    Raises RagkitError where the network cannot be converted or its graph computes something else, and where
    the cache cannot be written.
    """
    path = graph_path(identity, precision)
    if not path.is_file():
        _write(network.eval(), path, precision, samples)
    return path


def _write(network: nn.Module, path: Path, precision: Precision, samples: Samples) -> None:
    ov = openvino()
    example, *others = (tuple(sample) for sample in samples())
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # tracing warns of every size that a model asks for
            model = ov.convert_model(network, example_input=example)
    except Exception as error:
        raise RagkitError(f"the model cannot be exported to openvino ({_first(error)}): use torch") from error
    if precision == "int8" and not quantise(model, network, input_ranges(network, [example, *others])):
        raise RagkitError("the model has no linear layers that int8 could serve: use bf16 or fp32")
    try:
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(mkdtemp(prefix="new-", dir=path.parent.parent))
        try:
            ov.save_model(model, str(folder / path.name), compress_to_fp16=False)
            if precision != "int8":
                _compare(network, folder / path.name, [example, *others[:4]])
            folder.rename(path.parent)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        if not path.is_file():  # else another process was faster
            raise RagkitError(
                f"cannot write the exported model {path}: {error.strerror or error}; "
                "set XDG_CACHE_HOME to a folder with room"
            ) from error


def _compare(network: nn.Module, path: Path, samples: Sequence[Sequence[Tensor]]) -> None:
    """Sizes that the tracing took for constants show on texts of other lengths."""
    graph = Graph(path, "fp32", threads=1)
    for sample in samples:
        with torch.inference_mode():
            wanted = network(*sample)
        first = (wanted if isinstance(wanted, Tensor) else wanted[0]).float().numpy()
        found = graph.run_one([x.numpy() for x in sample])[0]
        if found.shape != first.shape or np.linalg.norm(found - first) > AGREEMENT * np.linalg.norm(first):
            raise RagkitError("the model exported to openvino computes something else: use torch")


def _folder() -> Path:
    """$XDG_CACHE_HOME/ragkit/graphs, ~/.cache by default (XDG Base Directory Specification 0.8)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ragkit" / "graphs"


def _first(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
