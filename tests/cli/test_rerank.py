"""`ragkit train rerank`, and what it makes in `ragkit search --reranker`."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import Command
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, BertModel

from ragkit.runtime.quiet import quiet
from ragkit.training.answering.reader import packaged_encoder


@pytest.fixture
def encoder(folder: Path) -> Path:
    torch.manual_seed(0)
    sizes: Any = {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    with quiet():
        BertModel(BertConfig(**sizes)).save_pretrained(folder / "encoder")
    AutoTokenizer.from_pretrained(packaged_encoder()).save_pretrained(folder / "encoder")
    return folder / "encoder"


def test_what_is_trained_reranks(ragkit: Command, indexed: Path, folder: Path, encoder: Path) -> None:
    def context(text: str) -> dict[str, str]:
        return {"title": "", "text": text, "passage_id": text}

    entries = [
        {"question": f"number {i}?", "answers": [], "positive_ctxs": [context(f"it is {i}")],
         "hard_negative_ctxs": [context(f"it is {i + 50}")]}
        for i in range(8)
    ]  # fmt: skip
    (folder / "mined.json").write_text(json.dumps(entries))
    options = ("--model", encoder, "--max-steps", 2, "--batch", 4, "--json")
    trained = ragkit("train", "rerank", "mined.json", "--out", "run", "--loss", "lambda", *options)
    assert trained.code == 0, trained.err
    assert trained.json["steps"] == 2
    plain = ragkit("search", indexed, "nearest loop", "-k", 3, "--json").json["hits"]
    again = ragkit("search", indexed, "nearest loop", "-k", 3, "--reranker", "run/model", "--json")
    assert again.code == 0, again.err
    hits = again.json["hits"]
    assert {hit["id"] for hit in hits} == {hit["id"] for hit in plain}
    assert [hit["score"] for hit in hits] != [hit["score"] for hit in plain]
    answer = ragkit("ask", indexed, "Which statement ends the nearest loop?", "--reader", "--json",
                    "--reranker", "run/model", "--rerank-depth", 2)  # fmt: skip
    assert answer.json["config"]["reranker"] == "run/model"
    assert answer.json["config"]["reranker_depth"] == 2


def test_a_reranker_is_computed_as_asked(
    ragkit: Command, indexed: Path, folder: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    with quiet():
        config = BertConfig.from_pretrained(encoder, num_labels=1)
        BertForSequenceClassification(config).save_pretrained(folder / "ranker")
    AutoTokenizer.from_pretrained(encoder).save_pretrained(folder / "ranker")

    def scores(*options: str) -> list[float]:
        found = ragkit("search", indexed, "nearest loop", "--json", "--reranker", "ranker", *options)
        assert (found.code, found.err) == (0, "")
        return [hit["score"] for hit in found.json["hits"]]

    torch_scores = scores("--rerank-runtime", "torch", "--rerank-precision", "fp32")
    assert not (folder / "cache").exists()
    assert scores("--rerank-runtime", "openvino", "--rerank-precision", "fp32") == pytest.approx(
        torch_scores, abs=1e-4
    )
    assert list((folder / "cache").rglob("model.xml"))
    for command in ("search", indexed), ("ask", "--reader", indexed), ("eval", "retrieval", indexed):
        refused = ragkit(*command, "demo:", "--rerank-runtime", "torch", "--rerank-precision", "int8")
        assert refused.code == 1 and "int8 needs the runtime openvino or onnx" in refused.err


def test_what_does_not_go_together_is_refused(ragkit: Command, indexed: Path) -> None:
    assert ragkit("search", indexed, "loop", "--no-rerank", "--reranker", "model").code == 2
    assert ragkit("search", indexed, "loop", "--no-rerank", "--rerank-precision", "int8").code == 2
    assert ragkit("train", "rerank", "mined.json", "--out", "run", "--loss", "hinge").code == 2
    missing = ragkit("search", indexed, "loop", "--reranker", "./nowhere")
    assert missing.code == 1 and "no such model folder" in missing.err
