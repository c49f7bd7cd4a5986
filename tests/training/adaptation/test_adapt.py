"""Adapting: what is held out stays out, runs go on where they were, and the verdict is honest."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ragkit.corpus.document import Document
from ragkit.encoders.loading import load_encoder
from ragkit.encoders.sentence import SentenceEncoder
from ragkit.encoders.towers import Task, tower
from ragkit.errors import RagkitError
from ragkit.index.rewriting import adopt
from ragkit.index.stored import StoredIndex
from ragkit.models.selfsup.alignment_uniformity import alignment
from ragkit.training.adaptation.adapt import AdaptationReport, AdaptSettings, adapt
from ragkit.training.adaptation.denoising import denoising_loss
from ragkit.training.adaptation.passages import choose_passages, overlapping
from ragkit.training.adaptation.self_test import SelfTest, words, write_self_test
from ragkit.training.adaptation.view_losses import TARGET_DECAY, ViewLossName, view_loss
from ragkit.training.adaptation.views import Method
from ragkit.training.curves import read_log
from ragkit.training.retrieval.dual_encoder import DualEncoderSettings, train_dual_encoder
from ragkit.training.retrieval.towers import build_towers

TASKS: tuple[Task, Task] = ("query", "document")
QUICK = AdaptSettings(batch=16, max_steps=12, learning_rate=3e-3, max_tokens=32)


def text_of(index: Path) -> list[str]:
    return list(StoredIndex.open(index).texts())


# What is held out


def test_documents_held_out_are_never_trained_on(index: Path, tmp_path: Path, monkeypatch: Any) -> None:
    import ragkit.training.adaptation.adapt as module

    shown: set[str] = set()
    made: list[Any] = []

    class Recording(module.ViewLessons):
        def rows(self, number: int) -> list[dict[str, Any]]:
            drawn = super().rows(number)
            shown.update(text for row in drawn for text in row.values())
            return drawn

    def recording(*given: Any) -> Any:
        made.append(choose_passages(*given))
        return made[-1]

    monkeypatch.setattr(module, "ViewLessons", Recording)
    monkeypatch.setattr(module, "choose_passages", recording)
    report = adapt(index, tmp_path / "run", replace(QUICK, method="simcse"))
    (chosen,) = made
    held = {passage.text for passage in chosen.pool[: chosen.held]}
    assert report.documents_held == report.passages_held == len(held) == 12
    assert shown and not shown & held
    assert report.passages == 108 and report.pool == 120
    asked = json.loads((tmp_path / "run" / "report.json").read_text())["questions"]
    assert asked and all(any(set(words(q)) <= set(words(text)) for text in held) for q in asked)


def test_the_split_is_the_same_each_time_and_bounded(index: Path) -> None:
    opened = StoredIndex.open(index)
    first, again = (choose_passages(opened, 50, 5, 30) for _ in range(2))
    assert first.training == again.training and first.pool == again.pool
    assert len(first.training) == 50 and len(first.pool) == 30 and first.held == 5
    assert {p.id for p in first.training}.isdisjoint(p.id for p in first.pool[:5])
    rows = np.concatenate([first.training_rows, first.pool_rows])
    assert opened.passages(rows) == first.training + first.pool


def test_of_a_single_document_the_end_is_held_out_with_what_overlaps_it(start: Path, tmp_path: Path) -> None:
    book = Document("book", " ".join(f"Line {i} is of some words." for i in range(400)))
    index = StoredIndex.build([book], tmp_path / "index", encoder=start)
    chosen = choose_passages(index, 1000, 100, 1000)
    assert chosen.documents_held == 0 and chosen.held == len(index) // 10
    held = chosen.pool[: chosen.held]
    assert max(p.end for p in chosen.training) <= min(p.start for p in held)
    together = overlapping(held + chosen.training)
    assert not set().union(*together[: len(held)]) - set(range(len(held)))
    with pytest.raises(RagkitError, match="3 passages: too few"):
        choose_passages(
            StoredIndex.build([Document(f"d{i}", "a b") for i in range(3)], tmp_path / "few", encoder=start),
            9, 9, 9,
        )  # fmt: skip


# The self-test


def test_questions_are_rare_words_of_one_sentence_in_order(index: Path) -> None:
    chosen = choose_passages(StoredIndex.open(index), 1000, 200, 2000)
    test = write_self_test(chosen.pool, chosen.held, 300, 0)
    assert len(test.questions) == 3 * chosen.held
    assert write_self_test(chosen.pool, chosen.held, 300, 0) == test
    assert write_self_test(chosen.pool, chosen.held, 7, 0).questions == test.questions[:7]
    for question, right in zip(test.questions, test.right, strict=True):
        assert 2 <= len(question.split()) <= 4
        text = words(chosen.pool[right[0]].text)
        at = [text.index(one) for one in question.split()]
        assert min(right) < chosen.held and set(question.split()) <= set(text) and at[-1] - at[0] < 15
    with pytest.raises(RagkitError, match="no words of their own"):
        common = [replace(passage, text="the of and") for passage in chosen.pool]
        write_self_test(common, chosen.held, 300, 0)


def test_measures_by_hand() -> None:
    test = SelfTest(["a", "b", "c"], [[0], [1, 2], [3]])
    passages = np.eye(4, dtype=np.float32)
    questions = np.array([[1, 0, 0, 0], [4, 1, 3, 2], [4, 3, 2, 1]], dtype=np.float32)
    values = test.values(questions, passages)  # ranks 1, 2 (passage 2 is right, too), 4
    assert values["RR@10"].tolist() == [1, 0.5, 0.25]
    assert values["Success@1"].tolist() == [1, 0, 0] and values["Success@5"].tolist() == [1, 1, 1]


# Training


@pytest.mark.parametrize("method", ["ict", "crop"])
def test_an_untrained_encoder_learns_its_documents(index: Path, tmp_path: Path, method: Method) -> None:
    report = adapt(index, tmp_path / "run", replace(QUICK, method=method, max_steps=60, epochs=20.0))
    rr, *_ = report.comparisons
    assert rr.measure == "RR@10" and rr.b > rr.a + 0.05
    assert report.helped and "helped" in report.verdict and "not" not in report.verdict
    encoder = load_encoder(report.model)
    rebuilt = StoredIndex.build([Document("d", "a")], tmp_path / "new", encoder=report.model)
    assert rebuilt.manifest.passport.fingerprint == encoder.passport().fingerprint
    stored = json.loads((tmp_path / "run" / "report.json").read_text())
    assert stored["helped"] is True and stored["comparisons"][0]["b"] == rr.b
    assert (tmp_path / "run" / "curve.png").is_file()


@pytest.mark.parametrize("loss", ["nt-xent", "barlow-twins", "byol"])
@pytest.mark.parametrize("method", ["crop", "deletion"])
def test_every_loss_learns_from_views(
    index: Path, tmp_path: Path, method: Method, loss: ViewLossName
) -> None:
    """The encoder moves, its vectors stay apart, and the loss falls (BYOL's need not: its target moves)."""
    report = adapt(
        index, tmp_path / "run", replace(QUICK, method=method, loss=loss, max_steps=40, epochs=20.0)
    )
    losses = [e["loss"] for e in read_log(tmp_path / "run" / "log.jsonl") if e["event"] == "step"]
    assert report.loss == loss and (loss == "byol" or losses[-1] < losses[0])
    before, after = (
        torch.from_numpy(load_encoder(spec).encode_questions(text_of(index)[:50]))
        for spec in (report.encoder, report.model)
    )
    assert not torch.allclose(before, after, atol=1e-2)
    assert after.std(0).mean() > before.std(0).mean() / 2


def test_byols_slow_copy_follows_and_is_not_the_model_that_learns(start: Path) -> None:
    model = build_towers(str(start), "shared").model
    loss: Any = view_loss(model, "byol", 0)
    own, slow = next(loss.byol.online.parameters()), next(loss.byol.target.parameters())
    texts = model.preprocess(["badeba fi", "gu ho"])
    loss([texts, texts]).backward()
    assert slow.grad is None
    held = slow.detach().clone()
    with torch.no_grad():
        own += 1
    loss([texts, texts])
    torch.testing.assert_close(slow, held.lerp(own, 1 - TARGET_DECAY))


def test_simcse_alone_has_dropout_to_learn_from(
    index: Path, start: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    """Without it the two vectors of a text are one, and the loss would only push others away."""
    import ragkit.training.adaptation.adapt as module

    apart: dict[str, float] = {}

    def measuring(model: Any, lessons: Any, *given: Any) -> None:
        model.train()
        rows = [model.preprocess([row["passage"] for row in lessons.rows(0)]) for _ in range(2)]
        a, b = (model(features)["sentence_embedding"] for features in rows)
        apart[method] = alignment(a, b).item()

    monkeypatch.setattr(module, "train_towers", measuring)
    for method in ("simcse", "ict"):
        adapt(index, tmp_path / method, replace(QUICK, method=method))
    assert apart["simcse"] > 1e-3 and apart["ict"] == 0


def test_tsdae_learns_to_restore_and_trains_the_encoder(index: Path, tmp_path: Path) -> None:
    report = adapt(index, tmp_path / "run", replace(QUICK, method="tsdae", max_steps=60, epochs=20.0))
    losses = [e["loss"] for e in read_log(tmp_path / "run" / "log.jsonl") if e["event"] == "step"]
    assert losses[-1] < losses[0] - 0.2
    text = text_of(index)[:1]
    before, after = (load_encoder(spec).encode_questions(text) for spec in (report.encoder, report.model))
    assert not np.allclose(before, after, atol=1e-3)


def test_tsdaes_decoder_shares_the_encoders_weights_and_sees_no_future(start: Path) -> None:
    model = build_towers(str(start), "shared").model
    before = model.encode(["badeba"])
    loss: Any = denoising_loss(model, "start", 0)
    np.testing.assert_allclose(model.encode(["badeba"]), before, atol=1e-6)
    shared = {id(p) for p in model.parameters()} & {id(p) for p in loss.decoder.parameters()}
    assert len(shared) > 10
    state = torch.randn(1, 1, 32)
    ids = torch.tensor([[2, 7, 8, 9]])
    with torch.no_grad():
        whole, other = (
            loss.decoder(input_ids=of, encoder_hidden_states=state).logits
            for of in (ids, torch.tensor([[2, 7, 8, 30]]))
        )
    torch.testing.assert_close(whole[:, :3], other[:, :3])
    assert not torch.allclose(whole[:, 3], other[:, 3])


class Killed(Exception):
    pass


def kill_after(step: int) -> Callable[[dict[str, Any]], None]:
    def on_event(event: dict[str, Any]) -> None:
        if event["event"] == "checkpoint" and event["step"] == step:
            raise Killed

    return on_event


@pytest.mark.parametrize(
    "changed", [{"method": "crop"}, {"method": "tsdae"}, {"method": "crop", "loss": "byol"}]
)
def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    index: Path, tmp_path: Path, changed: dict[str, Any], monkeypatch: Any
) -> None:
    import ragkit.training.adaptation.adapt as module

    def often(**given: Any) -> DualEncoderSettings:
        return DualEncoderSettings(**given, checkpoint_minutes=0.0, precision="fp32")

    monkeypatch.setattr(module, "DualEncoderSettings", often)
    whole = adapt(index, tmp_path / "whole", replace(QUICK, **changed, max_steps=6))
    with pytest.raises(Killed):
        adapt(index, tmp_path / "torn", replace(QUICK, **changed, max_steps=6), kill_after(3))
    torn = adapt(index, tmp_path / "torn", replace(QUICK, **changed, max_steps=6))
    events = read_log(tmp_path / "torn" / "log.jsonl")
    assert [(e["step"], e["resumed"]) for e in events if e["event"] == "start"] == [(0, False), (3, True)]
    ours, theirs = (load_file(report.model / "model.safetensors") for report in (torn, whole))
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=1e-5)
    with pytest.raises(RagkitError, match="other settings"):
        adapt(index, tmp_path / "torn", replace(QUICK, **changed, max_steps=6, seed=1))


def test_frozen_passages_keep_the_index_and_then_fine_tuning_goes_on(
    index: Path, start: Path, tmp_path: Path
) -> None:
    settings = replace(QUICK, method="crop", frozen_passages=True, max_tokens=16)
    report = adapt(index, tmp_path / "run", settings)
    adapted, before = load_encoder(report.model), load_encoder(start)
    assert isinstance(adapted, SentenceEncoder)  # whose texts are cut where they were, not as in training
    assert [tower(adapted.model, task)[0].max_seq_length for task in TASKS] == [32, 32]
    passages = [("", text) for text in text_of(index)[:3]]
    np.testing.assert_array_equal(adapted.encode_passages(passages), before.encode_passages(passages))
    assert not np.allclose(
        adapted.encode_questions(["badeba fi"]), before.encode_questions(["badeba fi"]), atol=1e-4
    )
    StoredIndex.build([Document(f"d{i}", text) for i, text in enumerate(text_of(index)[:30])],
                      tmp_path / "index", encoder=start)  # fmt: skip
    adopt(tmp_path / "index", report.model)
    again = adapt(tmp_path / "index", tmp_path / "twice", replace(QUICK, method="ict", frozen_passages=True,
                                                                  max_steps=2))  # fmt: skip
    assert again.encoder == str(report.model.resolve())
    entries = [
        {"question": text.split()[1], "positive_ctxs": [{"title": "", "text": text}], "answers": []}
        for text in text_of(index)[:20]
    ]
    (tmp_path / "mined.json").write_text(json.dumps(entries))
    tuned = train_dual_encoder(
        [tmp_path / "mined.json"],
        tmp_path / "dpr",
        DualEncoderSettings(encoder=str(report.model), towers="frozen", batch=8, max_steps=2),
    )
    assert load_encoder(tuned.weights).passport().fingerprint == before.passport().fingerprint


def test_an_index_of_int8_is_adapted_and_its_questions_alone_are_not(
    index: Path, start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rounded = tmp_path / "index"
    documents = [Document(f"d{i}", text) for i, text in enumerate(text_of(index)[:60])]
    StoredIndex.build(documents, rounded, encoder=load_encoder(start, "openvino", "int8"))
    report = adapt(rounded, tmp_path / "run", replace(QUICK, method="tsdae", max_steps=2))
    assert report.comparisons[0].a > 0 and (report.model / "modules.json").is_file()
    with pytest.raises(RagkitError, match="holds vectors of int8, whose questions cannot be trained alone"):
        adapt(rounded, tmp_path / "frozen", replace(QUICK, method="crop", frozen_passages=True))


def test_a_kept_share_of_one_half_moves_half_as_far(index: Path, start: Path, tmp_path: Path) -> None:
    weights = [load_file(start / "model.safetensors")]
    for keep in (0.0, 0.5):
        report = adapt(index, tmp_path / "run", replace(QUICK, method="crop", keep=keep))
        weights.append(load_file(report.model / "model.safetensors"))
    before, trained, half = weights
    for name, tensor in half.items():
        torch.testing.assert_close(tensor, (before[name] + trained[name]) / 2, rtol=0, atol=1e-5)


# The verdict


def test_training_that_does_harm_is_told_plainly_and_kept(index: Path, tmp_path: Path) -> None:
    """A first run makes a good encoder; a second one, far too fast, spoils it."""
    good = adapt(index, tmp_path / "good", replace(QUICK, method="crop", max_steps=80, epochs=20.0))
    documents = [Document(f"d{i}", text, splittable=False) for i, text in enumerate(text_of(index))]
    better = StoredIndex.build(documents, tmp_path / "index", encoder=good.model)
    spoilt = adapt(better.path, tmp_path / "bad", replace(QUICK, learning_rate=0.3, max_steps=8))
    assert not spoilt.helped and spoilt.comparisons[0].difference.high < 0
    assert "did not help" in spoilt.verdict and "finds less" in spoilt.verdict
    assert f"keep the old encoder, {good.model.resolve()}" in spoilt.verdict
    assert load_encoder(spoilt.model).dimension == 32


def test_no_difference_is_no_help(index: Path, tmp_path: Path) -> None:
    report = adapt(index, tmp_path / "run", replace(QUICK, learning_rate=1e-12, max_steps=2))
    assert not report.helped and "may be chance" in report.verdict
    assert isinstance(report, AdaptationReport) and report.comparisons[0].losses == 0


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"frozen_passages": True, "method": "simcse"}, "use ict or crop"),
    ({"frozen_passages": True, "method": "tsdae"}, "use ict or crop"),
    ({"frozen_passages": True, "loss": "byol"}, "by nll"),
    ({"method": "tsdae", "loss": "byol"}, "a loss of its own"),
    ({"batch": 1}, "two passages"),
    ({"keep": 1.0}, "share"),
]


@pytest.mark.parametrize("changed, said", WRONG)
def test_settings_that_do_not_fit_are_one_line(
    index: Path, tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(RagkitError, match=said):
        adapt(index, tmp_path / "run", replace(QUICK, **changed))
