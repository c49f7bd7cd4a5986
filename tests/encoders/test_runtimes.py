from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragkit.encoders import choice
from ragkit.encoders.choice import agrees, cosine, fastest, recall
from ragkit.encoders.loading import load_encoder
from ragkit.encoders.passport import Passport
from ragkit.encoders.sentence import SentenceEncoder
from ragkit.errors import RagkitError

QUESTIONS = ["what is the capital of france?", "how do i close a file", "cat", "the " * 200]
PASSAGES = [("france", "paris is the capital"), ("", "the cat sat"), ("plants", "light into sugar " * 9)]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_openvino_gives_the_vectors_of_torch(tiny: Any, pooling: str) -> None:
    folder = tiny.sentence("one", pooling=pooling, prompts={"query": "what is ", "document": "the : "})
    encoder = SentenceEncoder(folder, runtime="torch")
    graph = encoder.using("openvino", "fp32")
    np.testing.assert_allclose(
        graph.encode_questions(QUESTIONS), encoder.encode_questions(QUESTIONS), atol=1e-5
    )
    np.testing.assert_allclose(graph.encode_passages(PASSAGES), encoder.encode_passages(PASSAGES), atol=1e-5)
    assert not graph.passport().disagreement(encoder.passport())
    assert graph.passport().fingerprint == encoder.passport().fingerprint


def test_two_towers_are_two_graphs(tiny: Any) -> None:
    encoder = SentenceEncoder(tiny.asymmetric("two"), runtime="torch")
    graph = encoder.using("openvino", "fp32")
    for encode in ("encode_questions", "encode_passages"):
        texts = QUESTIONS if encode == "encode_questions" else PASSAGES
        np.testing.assert_allclose(getattr(graph, encode)(texts), getattr(encoder, encode)(texts), atol=1e-5)


def test_what_was_exported_is_used_from_then_on(tiny: Any) -> None:
    folder = tiny.sentence("one")
    assert not SentenceEncoder(folder).exported
    SentenceEncoder(folder, runtime="openvino").encode_passages(PASSAGES)
    again = SentenceEncoder(folder)
    assert again.exported and type(again._forward("query")).__name__ == "GraphForward"
    assert type(SentenceEncoder(folder, runtime="torch")._forward("query")).__name__ == "TorchForward"
    assert not SentenceEncoder(tiny.sentence("other", seed=1)).exported


def test_int8_has_a_passport_of_its_own(tiny: Any) -> None:
    encoder = SentenceEncoder(tiny.sentence("one"))
    quantised = encoder.using("openvino", "int8")
    assert cosine(quantised.encode_passages(PASSAGES), encoder.encode_passages(PASSAGES)) > 0.98
    passport = quantised.passport()
    assert passport.precision == "int8" and passport.fingerprint != encoder.passport().fingerprint
    assert "precision int8 and float" in str(passport.disagreement(encoder.passport()))
    assert Passport.from_json(passport.to_json()) == passport


def test_a_passport_from_before_precisions_still_opens(tiny: Any) -> None:
    passport = SentenceEncoder(tiny.sentence("one")).passport()
    older = passport.to_json()
    del older["precision"]
    assert Passport.from_json(older).fingerprint == passport.fingerprint


@pytest.mark.parametrize(
    ("runtime", "precision", "said"),
    [
        ("fast", "auto", "no runtime 'fast': there are auto, torch, openvino"),
        ("auto", "int4", "no precision 'int4': there are auto, fp32, bf16, int8"),
        ("torch", "int8", "int8 needs the runtime openvino"),
    ],
)
def test_what_there_is_not(runtime: str, precision: str, said: str) -> None:
    with pytest.raises(RagkitError, match=said):
        load_encoder("packaged", runtime, precision)


def test_without_openvino(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragkit.runtime.precision.find_spec", lambda name: None)
    folder = tiny.sentence("one")
    with pytest.raises(RagkitError, match=r"pip install 'ragkit\[fast\]'"):
        SentenceEncoder(folder, precision="int8")
    encoder = SentenceEncoder(folder)
    assert not encoder.exported and encoder.encode_questions(QUESTIONS).shape == (4, 16)
    assert fastest(encoder, PASSAGES * 4000) is encoder


def test_another_kind_of_encoder_has_no_choice(tiny: Any) -> None:
    with pytest.raises(RagkitError, match="computed by torch alone"):
        load_encoder("dpr:a,b", precision="bf16")


def test_recall_and_cosine_by_hand() -> None:
    questions = np.eye(12, dtype=np.float32)
    assert recall(questions, questions) == 1 and cosine(questions, 2 * questions) == pytest.approx(1)
    others = questions.copy()
    others[0] = -1  # the first question's passage is behind the eleven others
    assert recall(questions, others) == pytest.approx(11 / 12)


@pytest.mark.parametrize("many", [False, True])
def test_small_corpora_are_left_alone_and_large_ones_measured(
    tiny: Any, monkeypatch: pytest.MonkeyPatch, many: bool
) -> None:
    encoder = SentenceEncoder(tiny.sentence("one"))
    passages = [("", f"the cat sat on {word}") for word in ("paris", "plants", "sugar", "light")]
    assert fastest(encoder, passages) is encoder
    monkeypatch.setattr(choice, "WORTH_EXPORTING", 2)
    if many:
        monkeypatch.setattr(choice, "WORTH_MEASURING", 4)
        seconds = iter([2.0, 1.0])  # int8 is the faster one
        monkeypatch.setattr(choice, "_seconds", lambda compute: next(seconds))
        monkeypatch.setattr(choice, "agrees", lambda *_: True)
    found = fastest(encoder, passages)
    assert isinstance(found, SentenceEncoder)
    assert (found.runtime, found.precision) == ("openvino", "int8" if many else "fp32")


def test_what_was_begun_goes_on(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = SentenceEncoder(tiny.sentence("one"))
    monkeypatch.setattr(choice, "WORTH_EXPORTING", 2)
    monkeypatch.setattr(choice, "WORTH_MEASURING", 2)
    begun = encoder.using("openvino", "int8").passport().fingerprint[:32]
    monkeypatch.setattr(choice, "_seconds", lambda compute: pytest.fail("measured"))
    found = fastest(encoder, PASSAGES, {begun})
    assert isinstance(found, SentenceEncoder) and found.precision == "int8"


def test_an_encoder_that_lost_its_meaning_does_not_agree(tiny: Any) -> None:
    one, other = (SentenceEncoder(tiny.sentence(f"seed{seed}", seed)) for seed in (0, 1))
    assert agrees(one, one, PASSAGES) and not agrees(other, one, PASSAGES)
