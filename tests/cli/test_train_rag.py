"""`ragkit train rag`, and what it makes in `ragkit index adopt` and `ragkit ask --generator`."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import Command
from transformers import AutoTokenizer, BertConfig, BertModel

from ragkit.training.answering.reader import packaged_encoder

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


@pytest.fixture
def models(folder: Path) -> Path:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    from ragkit.generation.pointer_generator import PointerGenerator, PointerGeneratorConfig

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(packaged_encoder())
    for name in ("bert", "generator"):
        tokenizer.save_pretrained(folder / "models" / name)
    BertModel(BertConfig(**SIZES)).save_pretrained(folder / "models" / "bert")
    modules = [Transformer(str(folder / "models" / "bert")), Pooling(32, "mean")]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "models" / "encoder"))
    config = PointerGeneratorConfig(encoder=BertConfig(**SIZES).to_dict(), decoder_layers=1)
    PointerGenerator(config).save_pretrained(folder / "models" / "generator")
    return folder / "models"


@pytest.fixture
def asked(folder: Path) -> Path:
    """SQuAD JSON whose paragraphs are not those of the index."""
    entries = [
        {"id": str(i), "question": f"What ends loop {i}?", "answers": [{"text": "break", "answer_start": 2}]}
        for i in range(20)
    ]
    paragraph = {"context": "A break statement.", "qas": entries}
    path = folder / "asked.json"
    path.write_text(json.dumps({"data": [{"title": "Loops", "paragraphs": [paragraph]}]}))
    return path


def test_what_is_trained_is_adopted_and_answers(
    ragkit: Command, notes: Path, models: Path, asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the hashing encoder has no tower to train
    monkeypatch.chdir(asked.parent)
    built = ragkit("index", "build", "notes", "--encoder", models / "encoder", "--out", "indexes/notes")
    assert built.code == 0, built.err
    options = ("--generator", models / "generator", "--max-steps", 2, "--batch", 4, "-k", 2, "--json")
    trained = ragkit("train", "rag", "indexes/notes", asked, "--out", "run", "--loss", "token", *options)
    assert trained.code == 0, trained.err
    assert trained.json["steps"] == 2
    scores = trained.json["scores"]
    assert scores.keys() == {
        f"{name}{when}" for name in ("log-likelihood", "Success@2") for when in ("", " before")
    }
    assert "step 0: Success@2" in trained.err
    assert ragkit("index", "adopt", "indexes/notes", "run/encoder").code == 0
    answer = ragkit(
        "ask", "indexes/notes", "What ends the nearest loop?", "--generator", "run/generator", "--json"
    )
    assert answer.code == 0, answer.err


@pytest.mark.parametrize(
    "option, known", [("--loss", "sequence, token"), ("--freeze", "question, generator")]
)
def test_what_cannot_be_is_a_usage_error(
    ragkit: Command, indexed: Path, asked: Path, option: str, known: str
) -> None:
    refused = ragkit("train", "rag", indexed, asked, "--out", "run", option, "both")
    assert refused.code == 2 and known in " ".join(refused.err.replace("│", " ").split())


def test_an_encoder_that_cannot_be_trained_is_refused(ragkit: Command, indexed: Path, asked: Path) -> None:
    refused = ragkit("train", "rag", indexed, asked, "--out", "run")
    assert refused.code == 1 and "sentence-transformers" in refused.err
