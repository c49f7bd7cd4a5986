"""A reranker of two layers learns to tell houses from gardens, and goes on where it was stopped."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, BertConfig, BertForQuestionAnswering, BertModel

from ragkit.errors import RagkitError
from ragkit.models.compress.stored_model import save_stored
from ragkit.retrieval.reranking import load_reranker
from ragkit.training.answering.reader import packaged_encoder
from ragkit.training.ranking.losses import LossName
from ragkit.training.ranking.model import build_cross_encoder
from ragkit.training.ranking.reranker import RerankerSettings, train_reranker

COLOURS = "red green blue white black brown pink grey".split()
CONFIG = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "initializer_range": 0.1,
}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(packaged_encoder())


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    BertModel(BertConfig(**CONFIG)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def context(what: str, colour: str, at: int) -> dict[str, str]:
        return {"passage_id": f"{what}{colour}{at}", "title": f"number {at}", "text": f"a {colour} {what}"}

    entries = [
        {
            "id": f"{colour}{at}",
            "question": f"which house is {colour}",
            "answers": [],
            "positive_ctxs": [context("house", colour, at)],
            "hard_negative_ctxs": [context("garden", other, at) for other in COLOURS if other != colour],
        }
        for at in range(10)
        for colour in COLOURS
    ]
    path = tmp_path_factory.mktemp("data") / "houses.json"
    path.write_text(json.dumps(entries))
    return path


@pytest.fixture
def settings(encoder: Path) -> RerankerSettings:
    return RerankerSettings(
        model=str(encoder), negatives=3, batch=8, max_tokens=24, frozen_layers=0, learning_rate=3e-3,
        max_steps=6, held_out=8, validate_every=3, log_every=1, precision="fp32",
    )  # fmt: skip


def log(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("loss", ["bce", "listmle", "lambda"])
def test_every_loss_trains_a_model_that_loads(
    tmp_path: Path, data: Path, settings: RerankerSettings, loss: LossName
) -> None:
    out = tmp_path / loss
    result = train_reranker([data], out, replace(settings, loss=loss, max_steps=3))
    assert result.steps == 3 and set(result.scores) == {"nDCG@10", "RR@10"}
    assert {"start", "step", "checkpoint", "validate", "done"} == {event["event"] for event in log(out)}
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert not [p for p in out.rglob("*") if p.suffix in (".bin", ".pt", ".pth")]  # nothing pickled
    logits = load_reranker(result.weights).scorer.logits([("which house is red", "house 1 a red house")])
    assert logits.shape == (1,)


def test_it_learns(tmp_path: Path, data: Path, settings: RerankerSettings) -> None:
    """Seven of eight passages are wrong: by chance the right one is first in an eighth of all cases."""
    result = train_reranker([data], tmp_path / "run", replace(settings, max_steps=40, validate_every=500))
    losses = [event["loss"] for event in log(tmp_path / "run") if event["event"] == "step"]
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    assert result.scores["RR@10"] > 0.8


def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    tmp_path: Path, data: Path, settings: RerankerSettings
) -> None:
    settings = replace(settings, max_steps=4, held_out=0)
    whole = train_reranker([data], tmp_path / "whole", settings)
    settings = replace(settings, checkpoint_minutes=0.0)

    class Stopped(Exception):
        pass

    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "checkpoint" and event["step"] == 2:
            raise Stopped

    with pytest.raises(Stopped):
        train_reranker([data], tmp_path / "parts", settings, stop)
    resumed = train_reranker([data], tmp_path / "parts", settings)
    starts = [event for event in log(tmp_path / "parts") if event["event"] == "start"]
    assert [event["resumed"] for event in starts] == [False, True] and starts[1]["step"] == 2
    one, other = (load_file(result.weights / "model.safetensors") for result in (whole, resumed))
    assert all(torch.equal(one[name], other[name]) for name in one)
    with pytest.raises(RagkitError, match="other settings"):
        train_reranker([data], tmp_path / "parts", replace(settings, negatives=2))


def test_bfloat16_moves_the_gradient_little(tmp_path: Path, data: Path, settings: RerankerSettings) -> None:
    norms = []
    for precision in ("fp32", "bf16"):
        out = tmp_path / precision
        train_reranker([data], out, replace(settings, max_steps=1, held_out=0, precision=precision))  # type: ignore[arg-type]
        (step,) = (event for event in log(out) if event["event"] == "step")
        norms.append((step["loss"], step["gradient_norm"]))
    assert norms[1] == pytest.approx(norms[0], rel=0.05)


@pytest.mark.parametrize("stored", ["safetensors", "int8"])
def test_a_reader_lends_its_encoder_and_a_reranker_goes_on(
    tmp_path: Path, tokenizer: Any, stored: str
) -> None:
    reader = BertForQuestionAnswering(BertConfig(**CONFIG, architectures=["BertForQuestionAnswering"]))
    save_stored(reader, tmp_path) if stored == "int8" else reader.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    cross = build_cross_encoder(tmp_path, 24, frozen_layers=1)
    theirs = reader.bert.state_dict()
    ours = cross.model.bert.state_dict()
    assert all(torch.allclose(ours[name], theirs[name], atol=2e-3) for name in theirs)
    assert cross.num_labels == 1
    free = {name for name, parameter in cross.model.named_parameters() if parameter.requires_grad}
    assert not any("embeddings" in name or "layer.0." in name for name in free)
    assert any("layer.1." in name for name in free) and "classifier.weight" in free
    cross.model.save_pretrained(tmp_path / "reranker")
    tokenizer.save_pretrained(tmp_path / "reranker")
    again = build_cross_encoder(tmp_path / "reranker", 24)
    assert torch.equal(again.model.classifier.weight, cross.model.classifier.weight)


def test_what_cannot_be_trained_on_is_said(tmp_path: Path, data: Path, settings: RerankerSettings) -> None:
    with pytest.raises(RagkitError, match="not a model to start from"):
        train_reranker([data], tmp_path / "run", replace(settings, model=str(tmp_path)))
