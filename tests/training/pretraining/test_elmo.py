"""`train_elmo`: the data's invariants, a tiny training, exact resume, and what is refused."""

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.errors import RagkitError
from ragkit.models.sequence.elmo import UNKNOWN, Elmo
from ragkit.training.pretraining.elmo import ElmoRecipe, ElmoSettings, train_elmo
from ragkit.training.pretraining.elmo_data import BEGIN, END, collate, rows, streams, word_corpus
from ragkit.training.recipe import LoopSettings

LOOP = LoopSettings(learning_rate=1e-2, max_steps=8, validate_every=4, log_every=1, precision="fp32")
TINY = ElmoSettings(LOOP, width=8, cells=16, samples=6, rows=3, row_words=20, held_out=300)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty documents whose sentences have a grammar to learn."""
    rng = np.random.default_rng(0)
    animals, verbs, places = ["cat", "dog", "bird"], ["sits", "sleeps", "sings"], ["tree", "house", "river"]
    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    with path.open("w") as file:
        for at in range(40):
            kinds = rng.integers(0, 3, (12, 2))
            lines = [f"The {animals[a]} {verbs[a]} near the {places[p]}." for a, p in kinds]
            file.write(json.dumps({"id": str(at), "text": " ".join(lines)}) + "\n")
    return path


def test_it_learns_and_saves_what_loads(corpus: Path, tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    longer = replace(
        TINY,
        half=True,
        width=16,
        dropout=0.0,
        loop=replace(LOOP, learning_rate=2e-2, max_steps=100, validate_every=50),
    )
    result = train_elmo([corpus], tmp_path / "run", longer, events.append)
    first, last = (event for event in events if event["event"] == "validate")
    assert last["perplexity"] < first["perplexity"] and last["perplexity"] < 0.6 * last["unigram_perplexity"]
    assert last["perplexity"] == pytest.approx(math.exp(last["loss"]))
    assert result.scores["loss"] == last["loss"]
    assert (tmp_path / "run" / "curve.png").stat().st_size > 0
    files = {path.name for path in (tmp_path / "run" / "model").iterdir()}
    assert files == {"model.safetensors", "elmo.json"}
    elmo = Elmo.load(tmp_path / "run" / "model")
    assert {"The", "cat", UNKNOWN} <= set(elmo.vocabulary) and elmo.dimension == 32
    assert elmo([["zebra"]])[0].shape == (1, 32)


def log_of(out: Path, event: str) -> list[tuple[int, float]]:
    lines = map(json.loads, (out / "log.jsonl").read_text().splitlines())
    return sorted({(line["step"], line["loss"]) for line in lines if line["event"] == event})


def test_a_stopped_run_goes_on_with_the_same_losses(corpus: Path, tmp_path: Path) -> None:
    """The carried state is part of the checkpoint: without it the losses after it would differ."""
    often = replace(TINY, loop=replace(LOOP, checkpoint_minutes=0))
    train_elmo([corpus], tmp_path / "whole", often)

    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "checkpoint" and event["step"] == 5:
            raise KeyboardInterrupt

    broken = tmp_path / "broken"
    with pytest.raises(KeyboardInterrupt):
        train_elmo([corpus], broken, often, stop)
    assert not (broken / "model").exists()
    train_elmo([corpus], broken, often)
    assert len(log_of(broken, "step")) == 8
    for event in ("step", "validate"):
        assert log_of(broken, event) == log_of(tmp_path / "whole", event)
    first, second = (Elmo.load(tmp_path / run / "model").state_dict() for run in ("whole", "broken"))
    assert all(torch.equal(first[name], second[name]) for name in first)
    kept = (broken / "model" / "model.safetensors").read_bytes()
    with pytest.raises(RagkitError, match="other settings or data") as caught:
        train_elmo([corpus], broken, replace(often, cells=12))
    assert "\n" not in str(caught.value)
    assert (broken / "model" / "model.safetensors").read_bytes() == kept


def recipe(corpus: Path, **changes: Any) -> ElmoRecipe:
    changed = replace(TINY, **changes)
    words = word_corpus([json.loads(x)["text"] for x in corpus.open()], 50, 20, 50, 300, 0)
    from ragkit.models.sequence.bilm import BilmConfig

    torch.manual_seed(0)
    config = BilmConfig(width=8, cells=16, dropout=0.0, vocabulary=len(words.vocabulary))
    return ElmoRecipe(Elmo(config, words.vocabulary), words, changed)


def test_the_state_is_carried_within_a_document_and_forgotten_at_its_end(corpus: Path) -> None:
    made = recipe(corpus)
    model, batches = made.model.eval(), made.batches(0)
    never = torch.zeros(3, dtype=torch.bool)
    with torch.no_grad():
        made._loss(model, batches[0], never)
        assert batches[0][0].first and not batches[1][0].first
        carried = made._loss(model, batches[1], never)
        made.model.forget()
        assert carried != made._loss(model, batches[1], never)
        anew = [replace(row, first=True) for row in batches[1]]
        made._loss(model, batches[0], never)
        started = made._loss(model, anew, never)
        made.model.forget()
        assert started == made._loss(model, anew, never)


def test_validation_leaves_the_training_state_alone(corpus: Path) -> None:
    made = recipe(corpus)
    made.step(made.model, made.batches(0)[0])
    before = made.model.outputs.clone()
    with torch.no_grad():
        first, second = made.validate(made.model.eval()), made.validate(made.model)
    assert first == second and torch.equal(before, made.model.outputs) and before.abs().max() > 0


def test_validation_is_the_mean_over_all_held_out_words(corpus: Path) -> None:
    """Whatever the number of streams: a document that fits a row is read from zero either way."""
    with torch.no_grad():
        losses = []
        for count in (1, 2, 3):
            made = recipe(corpus, rows=count, row_words=200)
            losses.append(made.validate(made.model.eval())["loss"])
    assert losses == pytest.approx([losses[0]] * 3, abs=1e-5)


def test_the_unigram_is_the_training_parts(corpus: Path) -> None:
    words = recipe(corpus).corpus
    learnt, held = (
        [words.vocabulary[at] for text in part for s in text for at in words.predicted(torch.tensor(s))]
        for part in (words.train, words.held)
    )
    counts = Counter(learnt)
    truth = [word for word in held if word != "<S>"]
    kinds = len(words.vocabulary) - 1
    total = sum(count for word, count in counts.items() if word != "<S>") + kinds
    nats = -sum(math.log((counts[word] + 1) / total) for word in truth) / len(truth)
    assert words.unigram() == pytest.approx(nats)


def test_words_are_numbered_by_frequency_and_rare_ones_keep_their_characters() -> None:
    text = "the the the sea.\nthe sea is blue.\none two three four five six seven eight nine ten.\n" * 10
    words = word_corpus([text + "rare."], 6, 64, 12, 10_000, 0)
    assert words.vocabulary == ["<S>", "</S>", "<UNK>", "the", ".", "sea"]
    assert len(words.characters) == 3 + 3 + 13  # is, blue, ten numbers, rare
    last = torch.tensor([len(words.characters) - 1])
    assert words.vocabulary[words.predicted(last)] == UNKNOWN
    assert words.characters[last].ne(words.characters[2]).any()


sentence = st.lists(st.integers(3, 99), max_size=8).map(
    lambda ids: np.array([BEGIN, *ids, END], dtype=np.int32)
)
text_strategy = st.lists(st.lists(sentence, min_size=1, max_size=6), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(text_strategy, st.integers(10, 30), st.integers(1, 4))
def test_streams_hold_every_word_once_and_in_order(texts: list[Any], most: int, count: int) -> None:
    batches = streams(texts, most, count)
    assert {len(batch) for batch in batches} == {count}
    read = [row.ids for at in range(count) for row in (batch[at] for batch in batches)]
    assert np.array_equal(np.concatenate(read), np.concatenate([s for text in texts for s in text]))
    assert all(len(ids) <= most for ids in read)
    assert sum(row.first and len(row.ids) > 0 for batch in batches for row in batch) == len(texts)
    for text in texts:
        assert np.array_equal(np.concatenate([r.ids for r in rows(text, most)]), np.concatenate(text))
    ids, lengths = collate(batches[0])
    assert ids.shape == (count, int(lengths.max()))


@pytest.mark.parametrize("text", ["", "One.", "word " * 500])
def test_too_little_text_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(RagkitError) as caught:
        train_elmo([tmp_path / "a.txt"], tmp_path / "out", TINY)
    assert "\n" not in str(caught.value)
