from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ragkit.errors import RagkitError
from ragkit.generation.loading import load_reader
from ragkit.runtime.pairs import pair_model

OUTPUTS = ("start_logits", "end_logits")
PAIRS = [("which word?", "this one, of five words"), ("when?", "never " * 60), ("who?", "you")]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def reader() -> tuple[Any, Any]:
    return load_reader("packaged")


def batches(tokenizer: Any) -> list[dict[str, np.ndarray]]:
    return [dict(tokenizer(q, p, return_tensors="np", return_token_type_ids=True)) for q, p in PAIRS]


def test_a_graph_reads_as_torch_does(reader: tuple[Any, Any]) -> None:
    model, tokenizer = reader
    exact = pair_model(model, tokenizer, OUTPUTS, lambda: "reader", "torch", "fp32")
    graph = pair_model(model, tokenizer, OUTPUTS, lambda: "reader", "openvino", "fp32")
    for mine, wanted in zip(graph(batches(tokenizer)), exact(batches(tokenizer)), strict=True):
        for a, b in zip(mine, wanted, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-3)
    # From now on it is used wherever nobody says otherwise.
    chosen = pair_model(model, tokenizer, OUTPUTS, lambda: "reader")
    assert type(chosen) is type(graph) and type(exact) is not type(graph)


def test_int8_moves_the_scores_a_little(reader: tuple[Any, Any]) -> None:
    model, tokenizer = reader
    exact = pair_model(model, tokenizer, OUTPUTS, lambda: "reader", "torch", "fp32")
    quick = pair_model(model, tokenizer, OUTPUTS, lambda: "reader", precision="int8")
    for mine, wanted in zip(quick(batches(tokenizer)), exact(batches(tokenizer)), strict=True):
        a, b = np.concatenate(mine, axis=1)[0], np.concatenate(wanted, axis=1)[0]
        assert np.corrcoef(a, b)[0, 1] > 0.98 and np.abs(a - b).max() > 1e-3


def test_double_precision_stays(reader: tuple[Any, Any]) -> None:
    _, tokenizer = reader
    found = pair_model(torch.nn.Linear(1, 1).double(), tokenizer, OUTPUTS, lambda: pytest.fail("hashed"))
    assert type(found).__name__ == "_TorchPairs"


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_what_there_is_not(reader: tuple[Any, Any], runtime: str) -> None:
    with pytest.raises(RagkitError, match=r"int8 needs the runtime openvino|no runtime 'onnx'"):
        pair_model(*reader, OUTPUTS, lambda: "reader", runtime, "int8")
