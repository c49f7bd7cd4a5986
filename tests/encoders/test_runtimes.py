import logging
from typing import Any

import numpy as np
import pytest
import torch

from ragkit.encoders import choice
from ragkit.encoders.choice import agrees, cosine, fastest, recall
from ragkit.encoders.loading import load_encoder
from ragkit.encoders.passport import Passport
from ragkit.encoders.sentence import SentenceEncoder
from ragkit.encoders.tokens import Tokens, tokens_of
from ragkit.errors import RagkitError
from ragkit.runtime import export, openvino_graph

QUESTIONS = ["what is the capital of france?", "how do i close a file", "cat", "the " * 200]
PASSAGES = [("france", "paris is the capital"), ("", "the cat sat"), ("plants", "light into sugar " * 9)]


@pytest.mark.parametrize(
    ("runtime", "pooling"), [("openvino", "mean"), ("openvino", "cls"), ("openvino", "max"), ("onnx", "mean")]
)
def test_graphs_give_the_vectors_of_torch_and_nobody_says_a_word(
    tiny: Any,
    runtime: Any,
    pooling: str,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = tiny.sentence("one", pooling=pooling, prompts={"query": "what is ", "document": "the : "})
    capfd.readouterr()
    encoder = SentenceEncoder(folder, runtime="torch")
    graph = encoder.using(runtime, "fp32")
    np.testing.assert_allclose(
        graph.encode_questions(QUESTIONS), encoder.encode_questions(QUESTIONS), atol=1e-5
    )
    np.testing.assert_allclose(graph.encode_passages(PASSAGES), encoder.encode_passages(PASSAGES), atol=1e-5)
    assert not graph.passport().disagreement(encoder.passport())
    assert graph.passport().fingerprint == encoder.passport().fingerprint
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_one_text_and_many_give_the_same_vector(tiny: Any) -> None:
    encoder = SentenceEncoder(tiny.sentence("one"), runtime="openvino", precision="fp32")
    many = encoder.encode_questions(QUESTIONS * 300)
    np.testing.assert_allclose(many[:4], many[-4:], atol=1e-6)
    for question, vector in zip(QUESTIONS, many, strict=False):
        np.testing.assert_allclose(encoder.encode_questions([question])[0], vector, atol=1e-6)


def test_short_texts_that_come_often_get_graphs_of_their_size(
    tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_graph, "OFTEN", 2)
    encoder = SentenceEncoder(tiny.sentence("one"), runtime="openvino", precision="fp32")
    texts = [" ".join(["cat"] * words) for words in (3, 9, 14, 15, 20, 30, 40)]  # two tokens more each
    wanted = encoder.encode_questions(texts)
    graph: Any = encoder._forwards["query"]._graph  # type: ignore[attr-defined]
    for _ in range(4):
        for text, vector in zip(texts, wanted, strict=True):
            np.testing.assert_allclose(encoder.encode_questions([text])[0], vector, atol=1e-6)
    assert set(graph._sized._compiled) == {16, 32}


def test_texts_are_padded_up_to_the_limit_of_the_model(tiny: Any) -> None:
    tokens = Tokens(SentenceEncoder(tiny.sentence("one")).tokenizer, 20, "")
    rows = [tokens.ids(["cat " * words]) for words in (3, 14, 15, 40)]
    assert [tokens.features(row, 16)["input_ids"].shape[1] for row in rows] == [16, 16, 17, 20]
    features = tokens.features(rows[0], 16)
    assert features["attention_mask"].sum() == 5 and features["input_ids"].equal(
        torch.nn.functional.pad(tokens.features(rows[0])["input_ids"], (0, 11))
    )


def test_a_large_model_is_compiled_once(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_graph, "SMALL", 100)
    encoder = SentenceEncoder(tiny.sentence("one"), runtime="openvino")
    for _ in range(openvino_graph.OFTEN + 2):
        encoder.encode_questions(["cat"])
    graph: Any = encoder._forwards["query"]._graph  # type: ignore[attr-defined]
    assert not graph._sized._compiled


def test_tokens_are_those_of_sentence_transformers_or_left_to_it(tiny: Any) -> None:
    model = SentenceEncoder(tiny.sentence("one")).model
    tokens = tokens_of(model, "query", "what is ")
    assert tokens is not None
    features, wanted = tokens.features(tokens.ids(QUESTIONS)), model.preprocess(QUESTIONS, prompt="what is ")
    assert features["input_ids"].equal(wanted["input_ids"])
    model.tokenizer.padding_side = "left"
    assert tokens_of(model, "query", "what is ") is None
    model.tokenizer.padding_side = "right"
    model[0].query_length = 5  # sentence-transformers cuts questions there, which the tokenizer does not know
    assert tokens_of(model, "query", "") is None


def test_a_passport_names_what_computed_it(tiny: Any) -> None:
    folder = tiny.sentence("one")
    plain = SentenceEncoder(folder, runtime="torch", precision="fp32")
    graph = plain.using("openvino", "fp32")
    assert plain.passport().computed == "torch fp32"
    runtime, precision, name = graph.passport().computed.split()
    path = export.graph_path(graph._graphs.identity("document"), "fp32")
    assert (runtime, precision, name) == ("openvino", "fp32", path.parent.name) and path.is_file()
    assert Passport.from_json(graph.passport().to_json()).computed == graph.passport().computed


def test_two_int8_are_two_encoders(tiny: Any) -> None:
    encoder = SentenceEncoder(tiny.sentence("one"))
    passports = [encoder.using(runtime, "int8").passport() for runtime in ("openvino", "onnx")]
    assert [p.choice for p in passports] == [("auto", "int8"), ("onnx", "int8")]
    assert passports[0].fingerprint != passports[1].fingerprint
    assert encoder.passport().choice == ("auto", "auto")


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
        ("fast", "auto", "no runtime 'fast': there are auto, torch, openvino, onnx"),
        ("auto", "int4", "no precision 'int4': there are auto, fp32, bf16, int8"),
        ("torch", "int8", "int8 needs the runtime openvino or onnx"),
        ("onnx", "bf16", "onnx computes in fp32 and int8: for bf16"),
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
    encoder.threads = 4
    passages = [("", f"the cat sat on {word}") for word in ("paris", "plants", "sugar", "light")]
    assert fastest(encoder, passages) is encoder
    monkeypatch.setattr(choice, "WORTH_EXPORTING", 2)
    if many:
        monkeypatch.setattr(choice, "WORTH_MEASURING", 4)
        seconds = iter([2.0, 1.0, 0.9, 1.1])  # int8 is faster, and on half of four cores, not on a quarter
        monkeypatch.setattr(choice, "_seconds", lambda compute: next(seconds))
        monkeypatch.setattr(choice, "agrees", lambda *_: True)
    found = fastest(encoder, passages)
    assert isinstance(found, SentenceEncoder)
    wanted = ("openvino", "int8", 2) if many else ("openvino", "fp32", 4)
    assert (found.runtime, found.precision, found.threads) == wanted


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
