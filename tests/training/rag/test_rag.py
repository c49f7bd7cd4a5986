"""RAG end to end: gradients, what is frozen, resuming, and what comes out."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from ragkit.encoders.loading import load_encoder
from ragkit.encoders.towers import tower
from ragkit.errors import RagkitError
from ragkit.generation.generator import token_log_likelihoods
from ragkit.generation.loading import load_generator
from ragkit.generation.marginal import log_priors, log_sum
from ragkit.generation.rag_sequence import RagSequence
from ragkit.generation.seq2seq import Seq2SeqGenerator
from ragkit.index.rewriting import adopt
from ragkit.retrieval.index import Index
from ragkit.training.curves import read_log
from ragkit.training.rag.loss import LOSSES, LossName
from ragkit.training.rag.model import RagModel
from ragkit.training.rag.rag import train_rag
from ragkit.training.rag.recipe import RagSettings
from ragkit.training.rag.retriever import Retriever
from ragkit.training.recipe import LoopSettings
from ragkit.training.retrieval.towers import build_towers

ASKED, GOLD = ["qaa qab", "qbc"], ["aaa", "abc abd"]


def quick(generator: Path, steps: int = 3, **changed: Any) -> RagSettings:
    loop = LoopSettings(learning_rate=3e-3, max_steps=steps, log_every=1, precision="fp32",
                        validate_every=1000, checkpoint_minutes=0)  # fmt: skip
    own: dict[str, Any] = {"k": 3, "batch": 4, "question_rate": 3e-3, "frozen_layers": 0, "held_out": 8}
    return RagSettings(loop=loop, generator=str(generator), **(own | changed))


def tensors(folder: Path) -> dict[str, Tensor]:
    return {
        f"{path.relative_to(folder)}/{name}": tensor
        for path in sorted(folder.rglob("model.safetensors"))
        for name, tensor in load_file(path).items()
    }


# The model


def parts(index: Index, generator: Path, batch_tokens: int = 4096) -> tuple[RagModel, Retriever, Any]:
    read = load_generator(str(generator))
    assert isinstance(read, Seq2SeqGenerator)
    towers = build_towers(index.encoder.passport().name, "frozen")
    model = RagModel(tower(towers.model, "query"), read, cosine=True, temperature=0.2).eval()
    features = towers.model.preprocess(ASKED, task="query")
    return model, Retriever(index, read, 3, 32, batch_tokens), features


def labels(index: Index, generator: Path) -> Tensor:
    tokenizer: Any = load_generator(str(generator)).tokenizer  # type: ignore[attr-defined]
    ids = [[*tokenizer(text, add_special_tokens=False)["input_ids"], 3] for text in GOLD]
    rows = [torch.tensor(row) for row in ids]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-100)


@pytest.mark.parametrize("batch_tokens", [4096, 16])
@pytest.mark.parametrize("kind", ["pointer", "bart"])
def test_the_marginal_is_that_of_the_answerer(
    index: Index, kind: str, batch_tokens: int, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(kind)
    model, retriever, features = parts(index, folder, batch_tokens)
    answers = labels(index, folder)
    with torch.no_grad():
        scores, tokens, rows = model(features, partial(retriever.find, ASKED), answers)
    ours = LOSSES["sequence"](scores, tokens, answers >= 0)
    found = index.search_batch(ASKED, 3, mode="dense")
    generator = load_generator(str(folder), "fp32")
    for at, hits in enumerate(found):
        assert [p.id for p in index.passages(rows[at].tolist())] == [hit.passage.id for hit in hits]
        reading, _ = generator.read([ASKED[at]] * 3, [hit.passage for hit in hits], 8)
        answer = tuple(answers[at][answers[at] >= 0].tolist())
        likelihood = token_log_likelihoods(reading, range(3), [answer] * 3).sum(-1).numpy()
        prior = log_priors([hit.score for hit in hits], 0.2)
        assert ours[at].item() == pytest.approx(-float(log_sum(prior + likelihood)), abs=1e-4)


@pytest.mark.row(103)
@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_reach_both_parts_as_finite_differences_say(
    index: Index, bart: Path, loss: LossName
) -> None:
    model, retriever, features = parts(index, bart)
    model.double()
    answers = labels(index, bart)
    with torch.no_grad():  # what is found is no function that could be differentiated
        found = retriever.find(ASKED, model._embed(model.question, features))

    def value() -> Tensor:
        scores, tokens, _ = model(features, lambda vectors: found, answers)
        return LOSSES[loss](scores, tokens, answers >= 0).mean()

    value().backward()
    rng = np.random.default_rng(0)
    checked = {name: p for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert {name.split(".")[0] for name in checked} == {"question", "generator"}
    for name in rng.permutation(sorted(checked))[:40]:
        parameter = checked[name]
        assert parameter.grad is not None
        at = int(parameter.grad.abs().argmax())
        flat, step, ends = parameter.data.view(-1), 1e-5, []
        start = flat[at].item()
        for place in (start + step, start - step):
            flat[at] = place
            with torch.no_grad():
                ends.append(value().item())
        flat[at] = start
        slope = (ends[0] - ends[1]) / (2 * step)
        assert parameter.grad.view(-1)[at].item() == pytest.approx(slope, rel=1e-4, abs=1e-7), name


# Training


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, index: Index, pointer: Path, questions: Path) -> Any:
    out = tmp_path_factory.mktemp("trained")
    events: list[dict[str, Any]] = []
    settings = quick(pointer, 100, batch=8, k=20)
    settings = replace(settings, loop=replace(settings.loop, checkpoint_minutes=60.0))
    return out, train_rag(index, [questions], out, settings, events.append), events


def test_training_on_answers_alone_makes_them_likelier(trained: Any) -> None:
    out, result, events = trained
    names = ("log-likelihood", "Success@20")
    assert result.scores.keys() == {*names, *(f"{name} before" for name in names)}
    assert events[0] == {"event": "data", "questions": 72, "held out": 8, "left out": 1}
    losses = [event["loss"] for event in read_log(out / "log.jsonl") if event["event"] == "step"]
    assert np.mean(losses[-20:]) < 0.5 * np.mean(losses[:20])
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_retriever_learns_where_answers_are(trained: Any, index: Index) -> None:
    out, _, _ = trained
    asked = [f"q{d.text.split()[0][1:]}" for d in index.passages(range(len(index)))]

    def right(searched: Index) -> int:
        hits = searched.search_batch(asked, 3, mode="dense")
        return sum(row in [int(h.passage.document_id[1:]) for h in hit] for row, hit in enumerate(hits))

    after = Index.open(index.path, load_encoder(out / "encoder"))
    assert right(after) > right(index) + 5


def test_what_is_trained_serves_the_index_as_it_is(trained: Any, index: Index, tmp_path: Path) -> None:
    out, _, _ = trained
    copy = Path(shutil.copytree(index.path, tmp_path / "copy"))
    adopt(copy, out / "encoder")
    adopted = Index.open(copy)
    np.testing.assert_array_equal(
        adopted.passage_vectors()(np.arange(5)), index.passage_vectors()(np.arange(5))
    )
    assert adopted.verify() == []
    answer = RagSequence(adopted, str(out / "generator"), k=3, mode="dense", max_answer_tokens=8).ask(
        "qaa qab"
    )
    assert len(answer.support) == 3
    config = load_generator(str(out / "generator")).model.config  # type: ignore[attr-defined]
    assert "lean" not in str(config.to_dict())


@pytest.mark.row(104)
@pytest.mark.parametrize("freeze", ["question", "generator"])
def test_what_is_frozen_stays_to_the_bit(
    index: Index, encoder: Path, pointer: Path, questions: Path, tmp_path: Path, freeze: str
) -> None:
    settings = quick(pointer, 2, freeze=freeze, frozen_layers=1)
    train_rag(index, [questions], tmp_path / "run", settings)
    before, after = tensors(encoder), tensors(tmp_path / "run" / "encoder")
    route = {name.split("/")[0]: name for name in after}
    assert len(after) == 2 * len(before), route
    for name, tensor in before.items():
        (asked,) = [n for n in after if n.startswith("query") and n.endswith(name.split("/")[-1])]
        (passages,) = [n for n in after if n.startswith("document") and n.endswith(name.split("/")[-1])]
        assert torch.equal(tensor, after[passages])
        moves = freeze != "question" and "embeddings.word" not in name and "pooler" not in name
        assert torch.equal(tensor, after[asked]) is not moves, name
    theirs, ours = tensors(pointer), tensors(tmp_path / "run" / "generator")
    for name, tensor in theirs.items():
        still = freeze == "generator" or "bert.embeddings" in name or "encoder.layer.0" in name
        if still:
            assert torch.equal(tensor, ours[name]), name
    changed = [name for name in theirs if not torch.equal(theirs[name], ours[name])]
    assert bool(changed) is (freeze == "question")


class Killed(Exception):
    pass


@pytest.mark.parametrize("loss", LOSSES)
def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    index: Index, pointer: Path, questions: Path, tmp_path: Path, loss: LossName
) -> None:
    settings = quick(pointer, 12, loss=loss, batch=8)
    whole = train_rag(index, [questions], tmp_path / "whole", settings)

    def kill_after(step: int) -> Any:
        def on_event(event: dict[str, Any]) -> None:
            if event["event"] == "step" and event["step"] == step:
                raise Killed

        return on_event

    for step in (3, 11):  # in the first and in the second epoch
        with pytest.raises(Killed):
            train_rag(index, [questions], tmp_path / "torn", settings, kill_after(step))
    torn = train_rag(index, [questions], tmp_path / "torn", settings)
    assert torn.scores == whole.scores
    for name, tensor in tensors(tmp_path / "whole").items():
        assert torch.equal(tensor, tensors(tmp_path / "torn")[name]), name
    with pytest.raises(RagkitError, match="other settings"):
        train_rag(index, [questions], tmp_path / "torn", replace(settings, k=2))


def test_the_index_is_built_anew_while_its_passage_tower_trains(
    index: Index, pointer: Path, questions: Path, tmp_path: Path
) -> None:
    settings = quick(pointer, 7, rebuild_every=3)

    def stop_at(folder: Path, event_name: str, step: int) -> Any:
        def on_event(event: dict[str, Any]) -> None:
            if event["event"] == event_name and event["step"] == step:
                raise Killed

        with pytest.raises(Killed):
            train_rag(index, [questions], folder, settings, on_event)

    train_rag(index, [questions], tmp_path / "whole", settings)
    stop_at(tmp_path / "torn", "checkpoint", 3)  # saved, not yet built
    stop_at(tmp_path / "torn", "step", 5)
    ours = tensors(tmp_path / "whole" / "encoder")
    assert len(ours) == 2 * len(tensors(Path(index.encoder.passport().name)))
    train_rag(index, [questions], tmp_path / "torn", settings)
    for name, tensor in tensors(tmp_path / "torn" / "encoder").items():
        assert torch.equal(tensor, ours[name]), name
    built = Index.open(tmp_path / "whole" / "index")
    assert built.encoder.passport().name == str((tmp_path / "whole" / "encoder").resolve())
    assert built.verify() == [] and len(built) == len(index)
    assert not np.allclose(
        built.passage_vectors()(np.arange(9)), index.passage_vectors()(np.arange(9)), atol=0.01
    )
    assert not (tmp_path / "whole" / "towers").exists()
    assert len(list((tmp_path / "whole" / "index" / "cache").iterdir())) == 1
    with pytest.raises(RagkitError, match="wrong encoder"):
        Index.open(index.path, built.encoder)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"k": 0}, "k is 0"),
    ({"temperature": -1.0}, "above 0"),
    ({"generator": "nowhere/at/all"}, "no such model"),
    ({"held_out": 0}, "too few"),
]


@pytest.mark.parametrize("changed, said", WRONG)
def test_settings_that_do_not_fit_are_one_line(
    index: Index, pointer: Path, questions: Path, tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(RagkitError, match=said):
        train_rag(index, [questions], tmp_path, replace(quick(pointer), **changed))


def test_an_index_of_int8_is_refused_before_anything_is_trained(
    index: Index, pointer: Path, questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounded = replace(index.encoder.passport(), precision="int8")
    monkeypatch.setattr(index.encoder, "passport", lambda: rounded)
    with pytest.raises(RagkitError, match="holds vectors of int8, whose questions cannot be trained alone"):
        train_rag(index, [questions], tmp_path / "run", quick(pointer))
    assert not (tmp_path / "run").exists()


def test_questions_without_answers_are_refused(index: Index, pointer: Path, tmp_path: Path) -> None:
    (tmp_path / "asked.json").write_text('[{"question": "qaa", "answers": []}]')
    with pytest.raises(RagkitError, match="none of 1 questions has an answer"):
        train_rag(index, [tmp_path / "asked.json"], tmp_path / "run", quick(pointer))
