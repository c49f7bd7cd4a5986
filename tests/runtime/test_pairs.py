from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ragkit.errors import RagkitError
from ragkit.generation.loading import load_reader
from ragkit.runtime.pairs import PairModel

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


def read(model: PairModel, tokenizer: Any) -> list[Any]:
    return list(model.forward(len(PAIRS))(batches(tokenizer)))


def runs(model: PairModel, pairs: int = 1) -> str:
    return type(model.forward(pairs)).__name__


@pytest.mark.parametrize("runtime", ["openvino", pytest.param("onnx", marks=pytest.mark.slow)])
def test_a_graph_reads_as_torch_does(reader: tuple[Any, Any], runtime: str) -> None:
    model, tokenizer = reader
    exact = PairModel(model, tokenizer, OUTPUTS, lambda: "reader", "torch", "fp32")
    graph = PairModel(model, tokenizer, OUTPUTS, lambda: "reader", runtime, "fp32")
    for mine, wanted in zip(read(graph, tokenizer), read(exact, tokenizer), strict=True):
        for a, b in zip(mine, wanted, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-3)
    # From now on it is used wherever nobody says otherwise.
    chosen = PairModel(model, tokenizer, OUTPUTS, lambda: "reader", "auto", "fp32")
    if runtime == "onnx":  # where there is OpenVINO, that is first
        assert runs(chosen) == "_TorchPairs"
        return
    assert runs(chosen) == "_GraphPairs" and runs(exact) == "_TorchPairs"


def test_many_pairs_are_worth_an_export(reader: tuple[Any, Any]) -> None:
    found = PairModel(*reader, OUTPUTS, lambda: "reader")
    assert [runs(found, n) for n in (999, 1000, 1)] == ["_TorchPairs", "_GraphPairs", "_GraphPairs"]
    assert runs(PairModel(*reader, OUTPUTS, lambda: "reader", "torch"), 1000) == "_TorchPairs"


def test_int8_moves_the_scores_a_little(reader: tuple[Any, Any]) -> None:
    model, tokenizer = reader
    exact = PairModel(model, tokenizer, OUTPUTS, lambda: "reader", "torch", "fp32")
    quick = PairModel(model, tokenizer, OUTPUTS, lambda: "reader", precision="int8")
    for mine, wanted in zip(read(quick, tokenizer), read(exact, tokenizer), strict=True):
        a, b = np.concatenate(mine, axis=1)[0], np.concatenate(wanted, axis=1)[0]
        assert np.corrcoef(a, b)[0, 1] > 0.98 and np.abs(a - b).max() > 1e-3


def test_double_precision_stays(reader: tuple[Any, Any]) -> None:
    _, tokenizer = reader
    found = PairModel(torch.nn.Linear(1, 1).double(), tokenizer, OUTPUTS, lambda: pytest.fail("hashed"))
    assert runs(found, 1000) == "_TorchPairs"


@pytest.mark.parametrize("runtime", ["torch", "tensorrt"])
def test_what_there_is_not(reader: tuple[Any, Any], runtime: str) -> None:
    with pytest.raises(RagkitError, match=r"int8 needs the runtime openvino or onnx|no runtime 'tensorrt'"):
        PairModel(*reader, OUTPUTS, lambda: "reader", runtime, "int8")
