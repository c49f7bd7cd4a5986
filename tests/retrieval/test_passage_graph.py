"""Edges between passages that follow each other, are alike or name each other; searches that hear them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ragkit.corpus.document import Document
from ragkit.corpus.questions import Question
from ragkit.errors import RagkitError
from ragkit.retrieval.graph_reranking import GraphReranker, GraphScorer, Neighbourhoods
from ragkit.retrieval.index import Index
from ragkit.retrieval.passage_graph import PassageGraph
from ragkit.training.ranking.graph import Lesson, lessons_of, train_graph_reranker
from ragkit.training.recipe import LoopSettings
from tests.hashing_encoder import HashingEncoder

TEXTS = {
    "Rivers": ["water runs down", "the delta of a river", "boats go up", "fish swim", "Salt Lake is still"],
    "Salt Lake": ["no fish swim here", "white salt on the shore", "in time the Rivers end"],
    "Time": ["by that time it rained", "clocks tell it"],
}


@pytest.fixture
def index(tmp_path: Path) -> Index:
    records = [
        Document(f"{title}-{number}", text, title, splittable=False)
        for title, texts in TEXTS.items()
        for number, text in enumerate(texts)
    ]
    return Index.build(records, tmp_path / "index", encoder=HashingEncoder(), factory="flat")


@pytest.fixture
def graph(index: Index) -> PassageGraph:
    return PassageGraph.build(index)


def named(index: Index, edges: np.ndarray) -> set[tuple[str, str]]:
    ids = {row: passage.id for row, passage in enumerate(index.passages(range(edges.max() + 1)))}
    return {(ids[source], ids[target]) for source, target in edges.T.tolist()}


def test_what_is_joined(index: Index, graph: PassageGraph) -> None:
    follows = named(index, graph.edges["document"])
    assert {("Rivers-0", "Rivers-1"), ("Rivers-0", "Rivers-2"), ("Rivers-2", "Rivers-0")} <= follows
    assert ("Rivers-0", "Rivers-3") not in follows
    assert all(source.split("-")[0] == target.split("-")[0] for source, target in follows)
    links = named(index, graph.edges["link"])
    one_way = {("Rivers-4", "Salt Lake-0"), ("Salt Lake-2", "Rivers-0")}
    assert links == one_way | {(target, source) for source, target in one_way}  # "time" is not "Time"
    vectors = index.passage_vectors()(np.arange(10))
    for row, others in enumerate(np.argsort(-(vectors @ vectors.T - 9 * np.eye(10)), axis=1)[:, :5]):
        heard = set(graph.edges["nearest"][0, graph.edges["nearest"][1] == row].tolist())
        assert set(others.tolist()) <= heard


def test_passages_of_one_document_follow_each_other(tmp_path: Path) -> None:
    text = " ".join(f"word{number}" for number in range(400))
    index = Index.build([Document("a", text)], tmp_path / "i", encoder=HashingEncoder(), factory="flat")
    pairs = PassageGraph.build(index).edges["document"]
    assert len(index) >= 3 and (np.abs(pairs[0] - pairs[1]) <= 2).all() and [0, 1] in pairs.T.tolist()


def test_deleted_passages_have_no_edges(index: Index) -> None:
    index.delete(["Rivers-1"])
    row = 1
    assert not any((edges == row).any() for edges in PassageGraph.build(index).edges.values())


def test_a_graph_comes_back_from_its_file(graph: PassageGraph, tmp_path: Path) -> None:
    graph.save(tmp_path / "graph.safetensors")
    found = PassageGraph.load(tmp_path / "graph.safetensors")
    assert found.rows == graph.rows
    assert all(np.array_equal(found.edges[kind], graph.edges[kind]) for kind in graph.edges)
    (tmp_path / "other").write_text("no graph")
    with pytest.raises(RagkitError, match="holds no passage graph"):
        PassageGraph.load(tmp_path / "other")


def test_before_training_the_order_is_the_hybrids(index: Index, graph: PassageGraph) -> None:
    reranker = GraphReranker(index, Neighbourhoods(index, graph), GraphScorer())
    for question in ("fish swim", "salt of the lake"):
        (found,) = reranker.search_batch([question], 4)
        expected = index.search(question, 4)
        assert [hit.passage.id for hit in found] == [hit.passage.id for hit in expected]
        assert [hit.score for hit in found] == pytest.approx([hit.score for hit in expected], abs=1e-5)
        assert [hit.rank for hit in found] == [1, 2, 3, 4]


def test_what_is_no_candidate_is_known_by_its_likeness(index: Index, graph: PassageGraph) -> None:
    vectors = index.encoder.encode_questions(["fish swim"])
    (candidates,) = index.candidates(["fish swim"], vectors)
    kept = candidates.rows < 4
    fewer = replace(
        candidates,
        rows=candidates.rows[kept],
        dense=candidates.dense[kept],
        lexical=candidates.lexical[kept],
    )
    around = Neighbourhoods(index, graph, pool=2).around(vectors[0], fewer, torch.Generator().manual_seed(0))
    features = around.fields["nearest"].features
    assert len(around.rows) == 2 and (features[:, 3] == 0).any() and (features[:2, 3] == 1).all()


def test_it_learns_that_the_passage_before_the_best_is_meant(
    index: Index, graph: PassageGraph, tmp_path: Path
) -> None:
    """Relevant is what stands before the passage that says the words: only an edge can tell."""
    texts = ["boats go up", "fish swim", "white salt on the shore", "clocks tell it", "the delta of a river"]
    wanted = ["Rivers-1", "Rivers-2", "Salt Lake-0", "Time-0", "Rivers-0"]
    asked = zip(texts, wanted, strict=True)
    questions = [Question(text, text, [], {name: 1}, []) for text, name in asked]
    vectors = index.encoder.encode_questions(texts)
    candidates = index.candidates(texts, vectors)
    places = {}
    for name, edges in (("graph", graph), ("alone", graph.without_edges())):
        around = Neighbourhoods(index, edges)
        lessons = lessons_of(around, questions, vectors, candidates)
        assert len(lessons) == 5 and isinstance(lessons[0], Lesson)
        loop = LoopSettings(learning_rate=0.02, max_steps=60, precision="fp32", validate_every=30)
        train_graph_reranker(around, lessons * 4, tmp_path / name, loop)
        reranker = GraphReranker.load(index, edges, tmp_path / name / "weights.safetensors")
        ranked = reranker.rank(vectors, candidates)
        rows = [index.rows_by_id()[name][0] for name in wanted]
        found = [ranking.tolist() for _, ranking in ranked]
        places[name] = [of.index(row) for of, row in zip(found, rows, strict=True)]
    assert sum(places["graph"]) < sum(places["alone"]) and sum(places["graph"]) < 5


def test_weights_that_are_none_are_refused(index: Index, graph: PassageGraph, tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_text("{}")
    with pytest.raises(RagkitError, match="no weights of a graph reranker"):
        GraphReranker.load(index, graph, tmp_path / "weights.safetensors")
    with pytest.raises(RagkitError, match="0 questions with a relevant passage"):
        train_graph_reranker(Neighbourhoods(index, graph), [], tmp_path / "out")
