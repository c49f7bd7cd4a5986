"""Routers: what they learn, what they refuse, and what survives the disk."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hashing_encoder import HashingEncoder

from ragkit.errors import RagkitError
from ragkit.retrieval.routing.classifiers import Method, fit, prototypes
from ragkit.retrieval.routing.examples import Example, labels_of, read_examples
from ragkit.retrieval.routing.router import Router
from ragkit.retrieval.routing.storage import load_router, save_router
from ragkit.retrieval.routing.threshold import calibrated, parting

METHODS: tuple[Method, ...] = ("prototypes", "matching", "logistic")
EXAMPLES = [
    Example("where is my new card", "card"),
    Example("my card is lost", "card"),
    Example("when does the new card come", "card"),
    Example("how do I close the account", "account"),
    Example("please close the account", "account"),
    Example("open a second account", "account"),
]


@pytest.fixture(autouse=True)
def encoders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragkit.encoders.loading.load_encoder", HashingEncoder.named)


@pytest.mark.parametrize("method", METHODS)
def test_questions_go_to_the_label_of_like_examples_or_to_none(method: Method) -> None:
    router = Router.fit(EXAMPLES, HashingEncoder(), method)
    card, account, other = router.ask(
        ["the new card is lost", "close my account please", "ten green bottles hanging"]
    )
    assert (card.label, account.label, other.label) == ("card", "account", None)
    assert next(iter(card.probabilities)) == "card" and sum(card.probabilities.values()) == pytest.approx(1)
    assert other.similarity < router.threshold.value <= min(card.similarity, account.similarity)


@pytest.mark.parametrize("method", METHODS)
def test_a_router_answers_the_same_from_the_disk(method: Method, tmp_path: Path) -> None:
    router = Router.fit(EXAMPLES, HashingEncoder(), method)
    router.indexes = {"card": "../indexes/card"}
    save_router(router, tmp_path / "router")
    save_router(router, tmp_path / "router")
    again = load_router(tmp_path / "router")
    assert again.ask(["a lost card"]) == router.ask(["a lost card"])
    assert again.index_of("card") == tmp_path / "router" / "../indexes/card"
    with pytest.raises(RagkitError, match="label 'account' has no index in"):
        again.index_of("account")


def test_the_classifiers_are_what_they_are_called() -> None:
    """Two labels in the plane: nearest mean; the sum of the attention; scikit-learn's own probabilities."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((12, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    asked = rng.standard_normal((20, 5)).astype(np.float32)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    for ways in (2, 3):
        labels = np.arange(12) % ways
        centres = prototypes(vectors, labels)
        nearest = np.linalg.norm(asked[:, None] - centres, axis=2).argmin(axis=1)
        assert (fit("prototypes", vectors, labels).scores(asked).argmax(axis=1) == nearest).all()
        from ragkit.retrieval.routing.classifiers import INVERSE_PENALTY, MATCHING_SCALE

        attention = np.exp(MATCHING_SCALE * asked @ vectors.T)
        attention /= attention.sum(axis=1, keepdims=True)
        wanted = np.stack([attention[:, labels == k].sum(axis=1) for k in range(ways)], axis=1)
        ours = np.exp(fit("matching", vectors, labels).scores(asked))
        np.testing.assert_allclose(ours, wanted, rtol=1e-4)
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=INVERSE_PENALTY, max_iter=1000).fit(vectors, labels)
        scores = np.exp(fit("logistic", vectors, labels).scores(asked))
        np.testing.assert_allclose(
            scores / scores.sum(axis=1, keepdims=True), model.predict_proba(asked), atol=1e-5
        )


def test_the_threshold_parts_held_out_examples() -> None:
    assert parting(np.array([0.8, 0.9, 0.3, 0.35]), np.array([0.1, 0.2, 0.4])) == pytest.approx(0.25)
    assert parting(np.array([0.8, 0.9]), np.array([0.1, 0.5])) == pytest.approx(0.65)
    unit = np.eye(4, dtype=np.float32)
    pairs = np.repeat(unit[:2], 2, axis=0)  # two labels, two equal examples of each
    labels = np.array([0, 0, 1, 1])
    alone = calibrated(pairs, labels, pairs[:0])
    assert (alone.value, alone.known_refused, alone.unknown_refused) == (pytest.approx(0.5), 0, 1)
    assert (alone.unknown, alone.from_none) == (4, False)
    near = (unit[2:3] + 3 * unit[:1]) / 10**0.5
    given = calibrated(pairs, labels, near)
    assert given.value == pytest.approx((1 + 3 / 10**0.5) / 2) and given.from_none


def test_examples_of_none_set_the_threshold_and_are_no_label() -> None:
    apart = [Example("my card game is lost", "none"), Example("a new card trick", "none")]
    with_none = Router.fit([*EXAMPLES, *apart], HashingEncoder())
    assert with_none.labels == ("account", "card") and with_none.threshold.from_none
    assert with_none.threshold.unknown == 2
    assert with_none.threshold.value > Router.fit(EXAMPLES, HashingEncoder()).threshold.value


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (["a", "a", "b"], "label 'b' has one example: give two or more"),
        (["a", "a"], "all examples are labelled 'a': give a second label"),
        (["none", "none"], 'every example is labelled "none"'),
    ],
)
def test_too_few_examples_are_refused(labels: list[str], says: str) -> None:
    with pytest.raises(RagkitError, match=says):
        labels_of([Example("text", label) for label in labels])
    assert labels_of([Example("x", "a"), Example("y", "a"), Example("z", "none")]) == ["a"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty: a line an example"),
        ("\n\n", "is empty"),
        ('{"text": "x", "label": "a"}\n{"text": "y"}', "line 2: expected"),
        ("[1, 2]", "line 1: expected"),
        ('{"text": "x", "label": 3}', "line 1: text and label must be strings"),
        ('{"text": " ", "label": "a"}', "line 1: text and label must be strings"),
    ],
)
def test_a_file_that_holds_no_examples_says_which_line(content: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "examples.jsonl"
    file.write_text(content)
    with pytest.raises(RagkitError, match=says):
        read_examples(file)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RagkitError, match="cannot read"):
        read_examples(tmp_path / "none.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b'{"text": "caf\xe9", "label": "a"}')
    with pytest.raises(RagkitError, match="is not UTF-8 text"):
        read_examples(tmp_path / "latin.jsonl")


def test_another_encoder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_router(Router.fit(EXAMPLES, HashingEncoder()), tmp_path / "router")
    monkeypatch.setattr("ragkit.encoders.loading.load_encoder", lambda *_, **__: HashingEncoder("b"))
    with pytest.raises(RagkitError, match=r"wrong encoder for the router .*: encoder 'hashing-b' is not"):
        load_router(tmp_path / "router").ask(["a lost card"])


@pytest.mark.parametrize(
    "changed",
    [
        {"labels": ["a"]}, {"method": "magic"}, {"format": 9}, {"threshold": {"value": 1}}, {"encoder": {}},
        {"tensors": "0"}, {"indexes": 3}, None,
    ],
)  # fmt: skip
def test_a_damaged_router_is_refused(changed: dict[str, Any] | None, tmp_path: Path) -> None:
    path = tmp_path / "router"
    save_router(Router.fit(EXAMPLES, HashingEncoder()), path)
    record = json.loads((path / "router.json").read_text())
    (path / "router.json").write_text("{" if changed is None else json.dumps(record | changed))
    with pytest.raises(RagkitError, match=r"is damaged \(.*\): fit it anew"):
        load_router(path)


def test_tensors_of_another_router_are_refused_and_so_is_none(tmp_path: Path) -> None:
    save_router(Router.fit(EXAMPLES, HashingEncoder()), tmp_path / "a")
    save_router(Router.fit(EXAMPLES, HashingEncoder("b")), tmp_path / "b")
    (tmp_path / "b" / "tensors.safetensors").replace(tmp_path / "a" / "tensors.safetensors")
    with pytest.raises(RagkitError, match="is damaged"):
        load_router(tmp_path / "a")
    with pytest.raises(RagkitError, match="cannot read the router"):
        load_router(tmp_path / "b")
    with pytest.raises(RagkitError, match="no router in"):
        load_router(tmp_path)
    with pytest.raises(RagkitError, match="holds something else than a router"):
        save_router(Router.fit(EXAMPLES, HashingEncoder()), tmp_path)
