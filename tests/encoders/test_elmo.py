"""ELMo as an encoder: any word, any text, an index built with it, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ragkit.corpus.document import Document
from ragkit.corpus.splitting import Splitting
from ragkit.encoders.elmo import PACKAGED_ELMO, ElmoEncoder
from ragkit.encoders.loading import load_encoder
from ragkit.encoders.passport import Passport
from ragkit.errors import RagkitError
from ragkit.models.sequence.bilm import BilmConfig
from ragkit.models.sequence.characters import BEGIN_SENTENCE, END_SENTENCE
from ragkit.models.sequence.elmo import UNKNOWN, Elmo
from ragkit.retrieval.index import Index

TEXTS = ["The river bank was wet.", "Qzxv!", "She sat down. He stood up, he's tall.", "river"]


def saved(folder: Path, seed: int = 0, **options: object) -> Path:
    torch.manual_seed(seed)
    sizes = {"width": 8, "cells": 12, "filters": ((1, 8), (2, 8), (3, 8)), "character_width": 6}
    words = [BEGIN_SENTENCE, END_SENTENCE, UNKNOWN, "the"]
    Elmo(BilmConfig(**{**sizes, "vocabulary": 4, **options}), words).save(folder)  # type: ignore[arg-type]
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("elmo") / "model")


@pytest.fixture(scope="module")
def encoder(folder: Path) -> ElmoEncoder:
    return ElmoEncoder(folder)


def test_vectors_are_the_mean_of_the_mixed_word_vectors(encoder: ElmoEncoder) -> None:
    first, second = ["She", "sat", "down", "."], ["He", "stood", "up", ",", "he's", "tall", "."]
    with torch.no_grad():
        words = encoder.model([[*first, END_SENTENCE, BEGIN_SENTENCE, *second]])[0]
    mean = torch.cat([words[:4], words[6:]]).mean(0).numpy()
    expected = mean / np.linalg.norm(mean)
    np.testing.assert_allclose(encoder.encode_questions(TEXTS)[2], expected, atol=1e-6)
    titled = encoder.encode_passages([("She sat down.", "He stood up, he's tall.")])
    np.testing.assert_allclose(titled[0], expected, atol=1e-6)


def test_attention_pooling_by_hand(folder: Path, encoder: ElmoEncoder) -> None:
    pooled = load_encoder(f"elmo:{folder},attention")
    with torch.no_grad():
        words = encoder.model([["The", "river", "bank", "was", "wet", "."]])[0]
    scores = (words @ words.mean(0)) / 4  # the root of the dimension
    by_hand = (scores.exp() / scores.exp().sum()) @ words
    expected = torch.nn.functional.normalize(by_hand, dim=0).numpy()
    np.testing.assert_allclose(pooled.encode_questions(TEXTS)[0], expected, atol=1e-6)
    assert pooled.passport().name == f"elmo:{folder},attention"
    assert "pooling" in str(pooled.passport().disagreement(encoder.passport()))


def test_order_is_kept_and_neighbours_do_not_count(encoder: ElmoEncoder) -> None:
    together = encoder.encode_questions(TEXTS * 3)
    alone = np.concatenate([encoder.encode_questions([text]) for text in TEXTS * 3])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert encoder.encode_questions([]).shape == (0, 16) and together.dtype == np.float32


def test_any_text_has_a_vector_of_length_one(encoder: ElmoEncoder) -> None:
    texts = ["", " \n ", "zzqxw", "\u65e5\u672c\u8a9e", "<S> </S>", "\x00", "a" * 5000, "word " * 5000]
    vectors = encoder.encode_questions(texts)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_misspelt_word_is_nearer_than_another(tmp_path: Path) -> None:
    """Of letters alone this holds already: without training, with the word encoder's layer only."""
    encoder = ElmoEncoder(saved(tmp_path / "model", character_width=16, filters=((1, 64), (2, 64))))
    with torch.no_grad():
        encoder.model.mix.scores.copy_(torch.tensor([50.0, 0, 0]))
    right, wrong, other = encoder.encode_questions(["photosynthesis", "photosyntesis", "bank"])
    assert right @ wrong > right @ other


@pytest.mark.skipif(not PACKAGED_ELMO.is_dir(), reason="no ELMo is packaged")
def test_the_one_that_ships_reads_misspelt_words_in_context() -> None:
    encoder = load_encoder("elmo:packaged")
    assert (PACKAGED_ELMO / "model.safetensors").stat().st_size <= 25 * 2**20
    right, wrong, other = encoder.encode_questions(
        ["The captain of the ship was drowned.", "The captian of the ship was drownd.", "She wrote a letter."]
    )
    assert right @ wrong > right @ other
    assert encoder.passport().name == "elmo:packaged"


def test_an_index_is_built_searched_and_refuses_another_one(folder: Path, tmp_path: Path) -> None:
    documents = [Document(str(at), text) for at, text in enumerate(TEXTS)]
    index = Index.build(documents, tmp_path / "index", encoder=f"elmo:{folder}")
    again = Index.open(tmp_path / "index")  # the encoder comes from the manifest
    assert again.search(TEXTS[2], 1, mode="dense")[0].passage.document_id == "2"
    assert again.verify() == [] and len(index) == 4
    other = ElmoEncoder(saved(tmp_path / "other", seed=1))
    with pytest.raises(RagkitError, match="differ in weights"):
        Index.open(tmp_path / "index", encoder=other)


def test_the_passport_names_what_decides_a_vector(folder: Path, tmp_path: Path) -> None:
    own = load_encoder(f"elmo:{folder}").passport()
    assert own.name == f"elmo:{folder}" and (own.dimension, own.similarity) == (16, "cosine")
    assert own.disagreement(Passport.from_json(own.to_json())) is None
    clipped = ElmoEncoder(saved(tmp_path / "clipped", cell_clip=0.1)).passport()
    assert clipped.weights == own.weights and clipped.fingerprint != own.fingerprint
    # The softmax plays no part in a vector.
    torch.manual_seed(5)
    model = Elmo.load(folder)
    assert model.bilm.softmax is not None
    with torch.no_grad():
        model.bilm.softmax.table.normal_()
    model.save(tmp_path / "softmax")
    assert ElmoEncoder(tmp_path / "softmax").passport().fingerprint == own.fingerprint


def test_what_does_not_load_is_one_line(tmp_path: Path, folder: Path) -> None:
    for spec, said in (
        ("elmo:/no/such", "no such model folder"),
        (f"elmo:{tmp_path}", "not a saved ELMo"),
        (f"elmo:{folder},max", "mean or attention"),
    ):
        with pytest.raises(RagkitError, match=said) as caught:
            load_encoder(spec)
        assert "\n" not in str(caught.value)
    by_tokens = Splitting("tokens", 20, 5)
    with pytest.raises(RagkitError, match="split by words instead"):
        Index.build([Document("d", TEXTS[0])], tmp_path / "i", encoder=f"elmo:{folder}", splitting=by_tokens)
