"""Searches read again: by a stand-in whose logits are known, and by a small model from a folder."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
)

from ragkit.corpus.document import Document, Passage
from ragkit.errors import RagkitError
from ragkit.generation.marginal import log_priors
from ragkit.models.compress.stored_model import load_stored, save_stored
from ragkit.retrieval.index import Index, Mode
from ragkit.retrieval.pair_scores import Pair, PairScorer
from ragkit.retrieval.reranking import WEIGHTS, Reranker, Weights, load_reranker
from ragkit.retrieval.temperature import TEMPERATURES
from ragkit.training.answering.reader import packaged_encoder
from tests.hashing_encoder import HashingEncoder

MODES: tuple[Mode, ...] = ("hybrid", "dense", "lexical")
QUESTION = "red cat on the stone"


@pytest.fixture(autouse=True)
def single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equalities are shown in single precision, whatever the processor."""
    monkeypatch.setattr("ragkit.runtime.model_graph.computes_bf16", lambda device: False)


class ByNumber:
    """A scorer whose logit of a passage is the number at its end."""

    def __init__(self) -> None:
        self.read: list[Pair] = []

    def logits(self, pairs: Sequence[Pair]) -> Any:
        self.read += pairs
        return np.array([float(text.split()[-1]) for _, text in pairs])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Index:
    words = "red blue cat dog stone river".split()
    random = np.random.default_rng(0)
    documents = [
        Document(f"d{i}", f"{' '.join(random.choice(words, 6))} {i % 7}", "", {"even": i % 2 == 0})
        for i in range(60)
    ]
    folder = tmp_path_factory.mktemp("index") / "made"
    return Index.build(documents, folder, encoder=HashingEncoder(), factory="Flat")


@pytest.fixture
def index(built: Index) -> Index:
    return Index.open(built.path, HashingEncoder())


def rerank(index: Index, **options: Any) -> ByNumber:
    scorer = ByNumber()
    index.reranker = Reranker(scorer, **options)  # type: ignore[arg-type]
    return scorer


@pytest.mark.parametrize("mode", MODES)
def test_scores_join_retrieval_and_logit_on_the_scale_of_the_mode(index: Index, mode: Mode) -> None:
    plain = {hit.passage.id: hit.score for hit in index.search(QUESTION, 10, mode=mode)}
    rerank(index, depth=10, weights={mode: Weights(0.5, 2.0)})
    hits = index.search(QUESTION, 10, mode=mode)
    assert {hit.passage.id for hit in hits} == set(plain)
    for hit in hits:
        r = float(hit.passage.text.split()[-1])
        expected = 0.5 * plain[hit.passage.id] + 2.0 * TEMPERATURES[mode] * r
        assert hit.score == pytest.approx(expected, abs=1e-5)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert [hit.rank for hit in hits] == list(range(1, 11))


@pytest.mark.parametrize("mode", MODES)
def test_with_weights_of_one_the_prior_is_multiplied_by_the_evidence(index: Index, mode: Mode) -> None:
    """p(z|x) after reading is proportional to p(z|x) before times exp r, whatever the mode's scale."""
    plain = index.search(QUESTION, 6, mode=mode)
    rerank(index, depth=6)
    again = {hit.passage.id: hit.score for hit in index.search(QUESTION, 6, mode=mode)}
    before = log_priors([hit.score for hit in plain], TEMPERATURES[mode])
    after = log_priors([again[hit.passage.id] for hit in plain], TEMPERATURES[mode])
    evidence = np.array([float(hit.passage.text.split()[-1]) for hit in plain])
    np.testing.assert_allclose((after - before) - (after - before)[0], evidence - evidence[0], atol=1e-4)


@pytest.mark.parametrize("mode", MODES)
def test_only_the_pool_is_read_and_the_rest_stays_below_it_in_order(index: Index, mode: Mode) -> None:
    plain = [hit.passage.id for hit in index.search(QUESTION, 40, mode=mode)]
    scorer = rerank(index, depth=8)
    hits = [hit.passage.id for hit in index.search(QUESTION, 40, mode=mode)]
    assert len(scorer.read) == 8
    assert set(hits[:8]) == set(plain[:8]) and hits[8:] == plain[8:]
    assert [hit.passage.id for hit in index.search(QUESTION, 3, mode=mode)] == hits[:3]


def test_filters_hold_and_many_questions_share_a_call(index: Index) -> None:
    rerank(index, depth=10)
    found = index.search_batch([QUESTION, "blue dog"], 5, filter="even == true")
    assert all(hit.passage.metadata["even"] for hits in found for hit in hits)
    assert [hit.score for hit in found[1]] == pytest.approx(
        [hit.score for hit in index.search("blue dog", 5, filter="even == true")]
    )
    assert index.search(QUESTION, 5, filter='even == "neither"') == []


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=12), st.data())
def test_what_was_not_read_never_overtakes_what_was(scores: list[float], data: st.DataObject) -> None:
    ordered = np.array(sorted(scores, reverse=True))
    logits = np.array(data.draw(st.lists(st.floats(-20, 20), min_size=1, max_size=len(scores))))
    weights = Weights(data.draw(st.floats(0.1, 3)), data.draw(st.floats(0.1, 3)))
    made = Reranker(ByNumber(), weights={"hybrid": weights})  # type: ignore[arg-type]
    found = made.rescore("hybrid", ordered, logits)
    read, unread = found[: len(logits)], found[len(logits) :]
    assert not len(unread) or unread.max() <= read.min() + 1e-9
    assert (np.diff(unread) <= 1e-9).all()


def test_the_packaged_one_reads_what_a_passage_says() -> None:
    packaged = load_reranker()
    assert set(packaged.weights) == {"hybrid", "dense", "lexical"}
    texts = (
        "Paris has been the capital of France for most of its history.",
        "The capital that France raised for the railway came from a bank in Lyon.",
        "Berlin is the capital of Germany.",
    )
    passages = [Passage(str(i), str(i), text, 0, len(text)) for i, text in enumerate(texts)]
    (logits,) = packaged.logits(["Which city is the capital of France?"], [passages])
    assert logits.argmax() == 0 and logits[0] > 0
    files = [path for path in WEIGHTS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 25e6


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(packaged_encoder())


@pytest.fixture(scope="module")
def tiny() -> Any:
    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, num_labels=1,
        initializer_range=0.5,  # logits that differ from pair to pair
    )  # fmt: skip
    return BertForSequenceClassification(config).eval()


def test_batches_change_no_logit(tiny: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [(f"question {i}", "word " * (3 * i) + f"end {i}") for i in range(9)]
    scorer = PairScorer(tiny, tokenizer)
    together = scorer.logits(pairs)
    alone = np.array([scorer.logits([pair])[0] for pair in pairs])
    np.testing.assert_allclose(together, alone, atol=1e-4)
    assert np.ptp(together) > 0.1
    monkeypatch.setattr("ragkit.retrieval.pair_scores.PAIRS_AT_ONCE", 4)
    np.testing.assert_allclose(scorer.logits(pairs), together, atol=1e-4)


def test_a_long_pair_is_cut_and_a_model_of_several_outputs_refused(tiny: Any, tokenizer: Any) -> None:
    scorer = PairScorer(tiny, tokenizer, max_tokens=16)
    cut, longer = scorer.logits([("who", "word " * 50), ("who", "word " * 50 + "more")])
    assert cut == pytest.approx(longer, abs=1e-6)
    two = BertForSequenceClassification(BertConfig(hidden_size=32, num_hidden_layers=1,
                                                   num_attention_heads=2, num_labels=2))  # fmt: skip
    with pytest.raises(RagkitError, match="2 outputs"):
        PairScorer(two, tokenizer)


@pytest.mark.parametrize("stored", ["safetensors", "int8"])
def test_a_folder_reranks_end_to_end(
    tmp_path: Path, tiny: Any, tokenizer: Any, index: Index, stored: str
) -> None:
    save_stored(tiny, tmp_path) if stored == "int8" else tiny.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "ranking.json").write_text(json.dumps({"weights": {"hybrid": [0.25, 4.0]}}))
    plain = index.search(QUESTION, 10)
    index.reranker = load_reranker(tmp_path, depth=10)
    assert index.reranker.weights == {"hybrid": Weights(0.25, 4.0)}
    model = load_stored(AutoModelForSequenceClassification, tmp_path) if stored == "int8" else tiny
    logits = PairScorer(model, tokenizer).logits([(QUESTION, hit.passage.text) for hit in plain])
    expected = {hit.passage.id: 0.25 * hit.score + 4 * r for hit, r in zip(plain, logits, strict=True)}
    found = index.search(QUESTION, 10)
    assert {hit.passage.id: hit.score for hit in found} == pytest.approx(expected, abs=1e-4)


def test_what_is_no_reranker_is_said_in_one_line(tmp_path: Path, tiny: Any, tokenizer: Any) -> None:
    with pytest.raises(RagkitError, match="no such model folder"):
        load_reranker("./nowhere")
    tiny.bert.save_pretrained(tmp_path / "bare")
    with pytest.raises(RagkitError, match=r"not trained for this: no weights classifier\.bias"):
        load_reranker(tmp_path / "bare")
    tiny.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(RagkitError, match="at least"):
        load_reranker(tmp_path, depth=0)
    for content in ("[]", '{"weights": {"hybrid": [1]}}', '{"weights": {"hybrid": [1, -2]}}'):
        (tmp_path / "ranking.json").write_text(content)
        with pytest.raises(RagkitError, match="weights by search mode"):
            load_reranker(tmp_path)
