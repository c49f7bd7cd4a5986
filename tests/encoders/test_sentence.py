import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from ragkit.encoders.loading import load_encoder
from ragkit.encoders.passport import TOLERANCE
from ragkit.encoders.sentence import SentenceEncoder
from ragkit.errors import RagkitError

QUESTIONS = ["what is the capital of france?", "how do i close a file", "cat", "the " * 200, "dog, mat."]
PASSAGES = [
    ("france", "paris is the capital"),
    ("", "the cat sat on the mat"),
    ("plants", "light into sugar " * 9),
]
TEXTS = ["france paris is the capital", "the cat sat on the mat", "plants " + "light into sugar " * 9]


def test_agrees_with_sentence_transformers(tiny: Any) -> None:
    folder = tiny.sentence("mean")
    encoder, model = SentenceEncoder(folder), SentenceTransformer(str(folder), device="cpu")
    assert encoder.similarity == "cosine" and encoder.dimension == 16
    questions, passages = encoder.encode_questions(QUESTIONS), encoder.encode_passages(PASSAGES)
    np.testing.assert_allclose(questions, model.encode(QUESTIONS, normalize_embeddings=True), atol=1e-5)
    np.testing.assert_allclose(passages, model.encode(TEXTS, normalize_embeddings=True), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(questions, axis=1), 1, atol=1e-5)
    assert passages.dtype == np.float32 and passages.flags.c_contiguous


def test_dot_product_stays_dot_product(tiny: Any) -> None:
    folder = tiny.sentence("dot", similarity_fn_name="dot")
    encoder, model = SentenceEncoder(folder), SentenceTransformer(str(folder), device="cpu")
    assert encoder.similarity == "inner_product"
    vectors = encoder.encode_questions(QUESTIONS)
    np.testing.assert_allclose(vectors, model.encode(QUESTIONS), atol=1e-5)
    assert not np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=0.1)


def test_a_distance_is_refused(tiny: Any) -> None:
    folder = tiny.sentence("far", similarity_fn_name="euclidean")
    with pytest.raises(RagkitError, match="euclidean"):
        SentenceEncoder(folder)


def test_prompts(tiny: Any) -> None:
    prompts = {"query": "what is ", "document": "the cat : "}
    folder = tiny.sentence("prompted", prompts=prompts)
    encoder, model = SentenceEncoder(folder), SentenceTransformer(str(folder), device="cpu")
    np.testing.assert_allclose(
        encoder.encode_questions(["paris?"]),
        model.encode_query(["paris?"], normalize_embeddings=True),
        atol=1e-5,
    )
    np.testing.assert_allclose(
        encoder.encode_passages([("", "light")]),
        model.encode(["the cat : light"], normalize_embeddings=True),
        atol=1e-5,
    )
    assert encoder.passport().prompts == {"question": "what is ", "passage": "the cat : "}
    assert not np.allclose(
        encoder.encode_questions(["paris"]), encoder.encode_passages([("", "paris")]), atol=1e-3
    )


def test_asymmetric_towers(tiny: Any) -> None:
    folder = tiny.asymmetric("two")
    encoder, model = SentenceEncoder(folder), SentenceTransformer(str(folder), device="cpu")
    questions, passages = encoder.encode_questions(TEXTS), encoder.encode_passages(PASSAGES)
    np.testing.assert_allclose(questions, model.encode_query(TEXTS), atol=1e-5)
    np.testing.assert_allclose(passages, model.encode_document(TEXTS), atol=1e-5)
    assert not np.allclose(questions, passages, atol=1e-2)
    assert encoder.passport().disagreement(SentenceEncoder(folder).passport()) is None


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=300), max_size=12))
def test_each_vector_is_that_of_its_own_text(packaged: SentenceEncoder, texts: list[str]) -> None:
    together = packaged.encode_questions(texts)
    assert together.shape == (len(texts), 384)
    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_allclose(packaged.encode_questions([text])[0], vector, atol=1e-5)


def test_a_hundred_thousand_characters_are_cut_at_the_model_s_limit(packaged: SentenceEncoder) -> None:
    long = "word " * 20_000
    np.testing.assert_allclose(
        packaged.encode_questions([long]), packaged.encode_questions([long[:5000]]), atol=1e-5
    )


@pytest.mark.parametrize("pooling", ["cls", "max"])
def test_another_pooling_is_another_encoder(tiny: Any, pooling: str) -> None:
    mean = SentenceEncoder(tiny.sentence("one")).passport()
    other = SentenceEncoder(tiny.sentence("other", pooling=pooling)).passport()
    assert mean.weights == other.weights and mean.tokenizer == other.tokenizer
    assert "pooling" in (mean.disagreement(other) or "")


def test_other_weights_of_equal_dimension_are_another_encoder(tiny: Any) -> None:
    one, two = (SentenceEncoder(tiny.sentence(f"seed{seed}", seed)).passport() for seed in (0, 1))
    disagreement = one.disagreement(two)
    assert one.dimension == two.dimension
    assert disagreement and "seed0" in disagreement and "seed1" in disagreement and "weights" in disagreement
    assert one.fingerprint != two.fingerprint


def test_a_changed_setting_of_the_transformer_shows_in_the_canaries(tiny: Any) -> None:
    before = SentenceEncoder(tiny.sentence("heads")).passport()
    config = next((tiny.folder / "heads").rglob("config.json"))
    settings = json.loads(config.read_text()) | {"num_attention_heads": 4}
    config.write_text(json.dumps(settings))
    after = SentenceEncoder(tiny.folder / "heads").passport()
    assert before.fingerprint == after.fingerprint
    assert "relative distance" in (before.disagreement(after) or "")


def test_the_same_model_elsewhere_is_the_same_encoder(tiny: Any, tmp_path: Path) -> None:
    folder = tiny.sentence("here")
    SentenceTransformer(str(folder), device="cpu").save(str(tmp_path / "there"))
    here, there = load_encoder(folder).passport(), load_encoder(tmp_path / "there").passport()
    assert here.name != there.name
    assert here.disagreement(there) is None and here.fingerprint == there.fingerprint


def test_a_masked_language_model_is_the_same_encoder_each_time(tiny: Any, tmp_path: Path) -> None:
    """It is saved without the pooler, whose weights transformers then draws at random."""
    from transformers import AutoTokenizer, BertForMaskedLM

    bert = tiny.bert("bert")
    BertForMaskedLM.from_pretrained(bert).save_pretrained(tmp_path / "masked")
    AutoTokenizer.from_pretrained(bert).save_pretrained(tmp_path / "masked")
    first, again = (load_encoder(tmp_path / "masked") for _ in range(2))
    assert first.passport().disagreement(again.passport()) is None
    texts = ["the cat sat", "paris"]
    np.testing.assert_array_equal(first.encode_questions(texts), again.encode_questions(texts))


def test_encoding_leaves_the_passport_as_it_was(tiny: Any) -> None:
    folder = tiny.sentence("used")
    used = SentenceEncoder(folder)
    used.encode_questions(QUESTIONS)
    assert used.passport().fingerprint == SentenceEncoder(folder).passport().fingerprint


def test_code_that_a_model_brings_is_not_run(tiny: Any) -> None:
    folder = tiny.sentence("custom")
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = "own_code.Pooling"
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "own_code.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n")
    with pytest.raises(RagkitError, match="does not load"):
        SentenceEncoder(folder)
    assert not (folder / "ran").exists()


def test_half_precision_stays_well_within_the_passport_s_tolerance(
    packaged: SentenceEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [("", "The cat sat on the mat."), ("Photosynthesis", "Plants turn light into sugar. " * 20)]
    exact = packaged.encode_passages(texts)
    monkeypatch.setattr("ragkit.runtime.precision.computes_bf16", lambda device: True)
    half = packaged.encode_passages(texts)
    assert half.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(half, axis=1), 1, atol=1e-5)
    distance = np.linalg.norm(half - exact, axis=1)
    assert (distance > 0).all() and distance.max() < TOLERANCE / 2
    # Questions stay in single precision: the same alone and among others.
    np.testing.assert_allclose(
        packaged.encode_questions(["how?", "why is the mat red?"])[0],
        packaged.encode_questions(["how?"])[0],
        atol=1e-5,
    )
