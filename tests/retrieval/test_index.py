from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragkit.corpus.document import Document
from ragkit.errors import RagkitError
from ragkit.index.vector_index import brute_force
from ragkit.retrieval.fusion import DEPTH, Candidates, default_fusion
from ragkit.retrieval.index import Index, Mode
from tests.hashing_encoder import HashingEncoder

WORDS = ["red", "green", "blue", "cat", "dog", "bird", "runs", "sleeps", "house", "tree", "river", "stone"]
MODES: tuple[Mode, ...] = ("hybrid", "dense", "lexical")


def documents(count: int = 300) -> list[Document]:
    """Sentences of seeded random words; every third is in German by its metadata."""
    random = np.random.default_rng(3)
    return [
        Document(
            f"d{i}",
            " ".join(random.choice(WORDS, 8)) + f" number{i}",
            f"title{i % 7}",
            {"lang": "de" if i % 3 == 0 else "en", "year": 1900 + i},
        )
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return Index.build(
        documents(), tmp_path_factory.mktemp("index") / "made", encoder=HashingEncoder(), factory="Flat"
    )


def ids(index: Index, question: str, k: int, mode: Mode, filter: str | None = None) -> list[str]:
    return [hit.passage.document_id for hit in index.search(question, k, mode=mode, filter=filter)]


@pytest.mark.parametrize("mode", MODES)
def test_hits_are_ranked_passages(index: Index, mode: Mode) -> None:
    hits = index.search(documents()[17].text, 5, mode=mode)
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert hits[0].passage.document_id == "d17" and hits[0].passage.metadata["year"] == 1917
    assert len({hit.passage.id for hit in hits}) == 5


def test_dense_is_exact(index: Index) -> None:
    encoder = HashingEncoder()
    vectors = encoder.encode_passages([(document.title, document.text) for document in documents()])
    scores, rows = brute_force(vectors, np.arange(300), encoder.encode_questions(["blue bird runs"]), 10)
    hits = index.search("blue bird runs", 10, mode="dense")
    assert [hit.passage.document_id for hit in hits] == [f"d{row}" for row in rows[0]]
    np.testing.assert_allclose([hit.score for hit in hits], scores[0], atol=1e-5)


@pytest.mark.parametrize(
    "question", ["red cat runs", "tree number250 river", "number3 number200 nothing known"]
)
def test_hybrid_fuses_exact_scores_of_both_sides(index: Index, question: str) -> None:
    """By hand: both scores of every passage, and those fused that are among the best of either side."""
    dense = {h.passage.id: h.score for h in index.search(question, 300, mode="dense")}
    lexical = {h.passage.id: h.score for h in index.search(question, 300, mode="lexical")}
    names = sorted({*list(dense)[:DEPTH], *list(lexical)[:DEPTH]})
    found = Candidates(
        np.arange(len(names)),
        np.array([dense[name] for name in names]),
        np.array([lexical[name] for name in names]),
        np.array(list(dense.values())[:DEPTH]),
        np.array(list(lexical.values())[:DEPTH]),
    )
    expected = dict(zip(names, default_fusion().fuse(found), strict=True))
    hits = index.search(question, 20)
    np.testing.assert_allclose([h.score for h in hits], [expected[h.passage.id] for h in hits], atol=1e-4)
    np.testing.assert_allclose(
        [h.score for h in hits], sorted(expected.values(), reverse=True)[:20], atol=1e-4
    )


@pytest.mark.parametrize("mode", MODES)
def test_k_changes_how_many_not_which(index: Index, mode: Mode) -> None:
    twenty = ids(index, "green stone house", 20, mode)
    assert ids(index, "green stone house", 3, mode) == twenty[:3]
    if mode != "hybrid":
        assert ids(index, "green stone house", 200, mode)[:20] == twenty
    everything = ids(index, "green stone house", 1000, mode)
    assert len(everything) == len(set(everything)) == 300


@pytest.mark.parametrize("mode", MODES)
def test_a_batch_is_its_questions_one_by_one(index: Index, mode: Mode) -> None:
    questions = ["red dog", "number99", "tree river dog stone", "zzz"]
    together = index.search_batch(questions, 7, mode=mode)
    for question, hits in zip(questions, together, strict=True):
        alone = index.search(question, 7, mode=mode)
        assert [hit.passage.id for hit in hits] == [hit.passage.id for hit in alone]
        np.testing.assert_allclose([h.score for h in hits], [h.score for h in alone], atol=1e-4)
    assert index.search_batch([], 7, mode=mode) == []


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    year=st.integers(1890, 2210),
    k=st.integers(1, 60),
    question=st.sampled_from(["red cat", "number5", "xyz"]),
)
def test_filters_are_exact(index: Index, mode: Mode, year: int, k: int, question: str) -> None:
    """k matches come back if k exist, and they are the best of the matches, whatever the mode."""
    found = ids(index, question, k, mode, f'lang == "de" and year >= {year}')
    matching = [f"d{i}" for i in range(300) if i % 3 == 0 and 1900 + i >= year]
    assert len(found) == min(k, len(matching)) and set(found) <= set(matching)
    if mode != "hybrid":
        assert found == [name for name in ids(index, question, 300, mode) if name in matching][:k]


def test_deleted_passages_never_come_back(tmp_path: Path) -> None:
    made = Index.build(documents(40), tmp_path / "index", encoder=HashingEncoder())
    made.delete(["d7", "d8"])
    for mode in MODES:
        found = ids(made, "cat number7 number8", 100, mode)
        assert len(found) == 38 and not {"d7", "d8"} & set(found)


@pytest.mark.parametrize("mode", MODES)
def test_one_passage_is_enough(tmp_path: Path, mode: Mode) -> None:
    made = Index.build([Document("only", "a single text")], tmp_path / "index", encoder=HashingEncoder())
    hits = made.search("what is a single text?", 5, mode=mode)
    assert [hit.passage.document_id for hit in hits] == ["only"] and np.isfinite(hits[0].score)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("question", ["?!", "the of and", "cat " * 25_000, "\x00\ud7ff \u202e"])
def test_odd_questions_are_answered(index: Index, mode: Mode, question: str) -> None:
    hits = index.search(question, 5, mode=mode)
    assert len(hits) == 5 and all(np.isfinite(hit.score) for hit in hits)


def test_a_question_without_known_words_falls_back_to_the_dense_order(index: Index) -> None:
    assert ids(index, "qqq www", 20, "hybrid") == ids(index, "qqq www", 20, "dense")


@pytest.mark.parametrize("question", ["", "  \n\t"])
def test_an_empty_question_is_refused(index: Index, question: str) -> None:
    with pytest.raises(RagkitError, match="the question is empty"):
        index.search(question)
    with pytest.raises(RagkitError, match="question 2 of 2 is empty"):
        index.search_batch(["cat", question])


def test_unknown_modes_and_k_below_one_are_refused(index: Index) -> None:
    with pytest.raises(RagkitError, match="sparse"):
        index.search("cat", mode="sparse")  # type: ignore[arg-type]
    with pytest.raises(RagkitError, match="at least one"):
        index.search("cat", 0)


def test_without_a_lexical_part_only_dense_is_left(tmp_path: Path) -> None:
    made = Index.build(documents(20), tmp_path / "index", encoder=HashingEncoder(), lexical=False)
    assert len(made.search("cat", 3, mode="dense")) == 3
    for mode in ("hybrid", "lexical"):
        with pytest.raises(RagkitError, match="lexical"):
            made.search("cat", 3, mode=mode)
