"""ELMo: what each part sees, its losses, folders."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.chapters.sequence.elmo import golden_elmo
from ragkit.errors import RagkitError
from ragkit.models.sequence.bilm import BilmConfig
from ragkit.models.sequence.char_cnn import CharacterCnn
from ragkit.models.sequence.characters import (
    BEGIN_SENTENCE,
    END_SENTENCE,
    sentence_characters,
    word_characters,
)
from ragkit.models.sequence.elmo import UNKNOWN, Elmo
from ragkit.models.sequence.highway import Highway

WORDS = [BEGIN_SENTENCE, END_SENTENCE, UNKNOWN, "the", "river", "bank", "money"]


@pytest.fixture(scope="module")
def golden() -> Elmo:
    return golden_elmo()[0]


def small(vocabulary: bool = False, **options: object) -> Elmo:
    words = WORDS if vocabulary else []
    config = BilmConfig(
        **{  # type: ignore[arg-type]
            "width": 8,
            "cells": 12,
            "filters": ((1, 4), (2, 6)),
            "character_width": 4,
            "dropout": 0.0,
            "vocabulary": len(words) or None,
        }
        | options
    )
    return Elmo(config, words)


@pytest.mark.row(83)
def test_a_forgotten_state_is_noticed(golden: Elmo) -> None:
    """The golden test would pass a network without memory if the state did not matter: it does."""
    sentences = [["the", "river", "bank"]]
    with torch.no_grad():
        first, state = golden.layers(sentences)
        second, _ = golden.layers(sentences, state)
    assert (first[0][0] - second[0][0]).abs().max() == 0
    assert (first[0][1:] - second[0][1:]).abs().max() > 1e-3


@pytest.mark.row(83)
def test_each_direction_sees_its_side_only() -> None:
    model = small(vocabulary=True).double().eval()
    words = ["the", "river", "bank", "money"]
    base = model.layers([words])[0][0]
    changed = model.layers([[*words[:3], "tree"]])[0][0]
    ahead, back = (base - changed)[1:, :3].split(8, dim=-1)
    assert ahead.abs().max() < 1e-14 and back.abs().amax((0, 2)).min() > 1e-9


@pytest.mark.row(83)
def test_padding_and_neighbours_change_nothing() -> None:
    model = small().eval()
    together = model([["a", "long", "sentence", "here"], ["short"], []])
    for words, vectors in zip([["a", "long", "sentence", "here"], ["short"]], together, strict=False):
        assert (model([words])[0] - vectors).abs().max() < 1e-6
    assert together[2].shape == (0, model.dimension)


@pytest.mark.row(83)
def test_loss_is_the_two_chains_by_hand() -> None:
    torch.manual_seed(0)
    model = small(vocabulary=True).double().eval()
    sentences = [["the", "river", "bank"], ["zebra"]]
    forwards, backwards, _ = model.losses(sentences)
    total = torch.zeros(2, dtype=torch.float64)
    count = 0
    for sentence in sentences:
        words = [BEGIN_SENTENCE, *sentence, END_SENTENCE]
        numbers = [WORDS.index(w) if w in WORDS else WORDS.index(UNKNOWN) for w in words]
        hidden, _ = model.bilm(*sentence_characters([sentence]))
        ahead, back = hidden[-1, 0].split(8, dim=-1)
        softmax = model.bilm.softmax
        assert softmax is not None
        for at in range(len(words) - 1):
            table, bias = softmax.table, softmax.bias
            total[0] -= (table @ ahead[at] + bias).log_softmax(0)[numbers[at + 1]]
            total[1] -= (table @ back[at + 1] + bias).log_softmax(0)[numbers[at]]
            count += 1
    assert (torch.stack([forwards, backwards]) - total / count).abs().max() < 1e-10


@pytest.mark.row(83)
def test_a_row_of_two_sentences_predicts_each_words_and_ends_once() -> None:
    """What must follow an end, the next sentence's beginning, is not counted as predicted."""
    torch.manual_seed(0)
    model = small(vocabulary=True).double().eval()
    row = ["the", "bank", END_SENTENCE, BEGIN_SENTENCE, "money"]
    words = [BEGIN_SENTENCE, *row, END_SENTENCE]
    hidden, _ = model.bilm(*sentence_characters([row]))
    ahead, back = hidden[-1, 0].split(8, dim=-1)
    softmax = model.bilm.softmax
    assert softmax is not None

    def nats(vector: torch.Tensor, word: str) -> torch.Tensor:
        return -(softmax.table @ vector + softmax.bias).log_softmax(0)[WORDS.index(word)]

    forwards, backwards, _ = model.losses([row])
    ahead_of = [nats(ahead[at], words[at + 1]) for at in range(6) if words[at + 1] != BEGIN_SENTENCE]
    behind = [nats(back[at + 1], words[at]) for at in range(6) if words[at] != END_SENTENCE]
    assert len(ahead_of) == len(behind) == 5
    assert (forwards - torch.stack(ahead_of).mean()).abs() < 1e-10
    assert (backwards - torch.stack(behind).mean()).abs() < 1e-10


@pytest.mark.row(84)
@settings(max_examples=50, deadline=None)
@given(st.text(max_size=80))
def test_any_word_has_ids_and_a_vector(word: str) -> None:
    ids = word_characters(word)
    assert len(ids) == 50 and all(0 < i < 262 for i in ids)
    torch.manual_seed(0)
    assert CharacterCnn(6, 4, ((1, 3), (2, 5)))(torch.tensor([[ids]])).isfinite().all()


@pytest.mark.row(84)
def test_unknown_words_differ_from_each_other(golden: Elmo) -> None:
    with torch.no_grad():
        vectors = golden.layers([["qzxv", "qzxw"]])[0][0][0]
    assert (vectors[0] - vectors[1]).abs().max() > 1e-3


@pytest.mark.row(84)
def test_highway_between_its_two_ends() -> None:
    layer = Highway(5).double()
    x = torch.randn(3, 5, dtype=torch.float64)
    g = (x @ layer.gate.weight.T + layer.gate.bias).sigmoid()
    by_hand = g * torch.relu(x @ layer.transform.weight.T + layer.transform.bias) + (1 - g) * x
    assert (layer(x) - by_hand).abs().max() < 1e-12
    with torch.no_grad():
        layer.gate.bias.fill_(-1e3)
        assert torch.equal(layer(x), x)


@pytest.mark.row(86)
def test_saved_model_gives_the_same_vectors(tmp_path: Path) -> None:
    model = small(vocabulary=True).eval()
    model.save(tmp_path)
    again = Elmo.load(tmp_path)
    assert again.vocabulary == WORDS and again.bilm.config == model.bilm.config
    assert torch.equal(again([["river", "bänk"]])[0], model([["river", "bänk"]])[0])
    model.save(tmp_path, half=True)
    assert (Elmo.load(tmp_path)([["river"]])[0] - model([["river"]])[0]).abs().max() < 0.002


def test_damaged_folders_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RagkitError, match="not a saved ELMo"):
        Elmo.load(tmp_path)
    small().save(tmp_path)
    text = (tmp_path / "elmo.json").read_text()
    (tmp_path / "elmo.json").write_text(text.replace('"cells": 12', '"cells": 13'))
    with pytest.raises(RagkitError, match="not a saved ELMo") as caught:
        Elmo.load(tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="lacks"):
        Elmo(BilmConfig(vocabulary=2), ["a", "b"])


@pytest.mark.row(83)
def test_training_lowers_both_losses() -> None:
    torch.manual_seed(0)
    model = small(vocabulary=True, samples=5)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    sentences = [["the", "river", "bank"], ["money", "the", "bank"]]

    def loss() -> float:
        with torch.no_grad():
            return sum(value.item() for value in model.eval().losses(sentences)[:2])

    began = loss()
    state = None
    for _ in range(30):
        forwards, backwards, state = model.train().losses(sentences, state)
        optimizer.zero_grad()
        (forwards + backwards).backward()
        optimizer.step()
    assert loss() < 0.7 * began
