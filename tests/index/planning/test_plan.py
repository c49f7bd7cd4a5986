"""A plan, from an index to the engine that it chooses, the promise that is stored, and its check."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hashing_encoder import HashingEncoder

from ragkit.corpus.document import Document
from ragkit.errors import RagkitError
from ragkit.index.planning import plan as planning
from ragkit.index.planning.goals import Goals
from ragkit.index.planning.plan import Plan, plan, plan_vectors
from ragkit.index.planning.questions import Questions
from ragkit.index.recipe import recipes
from ragkit.index.stored import StoredIndex

CENTRES = np.random.default_rng(0).standard_normal((40, 16))


def clustered(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    vectors = CENTRES[rng.integers(0, len(CENTRES), n)] + 0.5 * rng.standard_normal((n, 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


VECTORS, ROWS = clustered(6000, 1), np.arange(6000)
QUESTIONS = Questions("made-up", clustered(150, 2))


def only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    some = [one for one in recipes() if one.name in names]
    monkeypatch.setattr(planning, "recipes", lambda: some)


@pytest.fixture(scope="module")
def measured() -> Plan:
    """At the full size."""
    return plan_vectors(VECTORS.__getitem__, ROWS[:1500], QUESTIONS, Goals())


def test_every_recipe_is_tried(measured: Plan) -> None:
    assert measured.measured and measured.sampled == 1500
    assert {row.recipe for row in measured.rows} == {recipe.name for recipe in recipes()}


def test_the_choice_is_the_smallest_that_keeps_the_goals(measured: Plan) -> None:
    chosen = measured.chosen
    assert chosen.bound >= 0.95 and chosen == measured.kept[0]
    smaller = [row for row in measured.rows if row.ram < chosen.ram]
    assert smaller and all(row.bound < 0.95 for row in smaller)
    strict = replace(measured, goals=Goals(0.95, latency=chosen.p95 / 2))
    assert all(row.p95 <= chosen.p95 / 2 for row in strict.kept) and chosen not in strict.kept


def test_only_exact_search_promises_all(measured: Plan) -> None:
    assert replace(measured, goals=Goals(1.0)).chosen.factory == "Flat"


def test_goals_that_nothing_keeps(measured: Plan) -> None:
    impossible = replace(measured, goals=Goals(0.99, ram=1000))
    assert impossible.kept == []
    with pytest.raises(RagkitError, match=r"no engine keeps recall 0\.99, 0\.0 MB: the nearest is"):
        _ = impossible.chosen


def test_what_is_said_of_the_whole_from_a_sample_comes_true(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "ivf-sq8", "ivf-sq4", "hnsw-sq8", "flat")
    part, whole = (
        plan_vectors(VECTORS.__getitem__, ROWS, QUESTIONS, Goals(0.9), sample=n) for n in (3000, 6000)
    )
    assert not part.measured and whole.measured and part.passages == 6000
    truth = {row.name: row for row in whole.rows}
    assert [row.name for row in part.rows] == [row.name for row in whole.rows]
    for row in part.rows:
        true = truth[row.name]
        assert row.ram == pytest.approx(true.ram, rel=0.02)
        assert row.recall == pytest.approx(true.recall, abs=0.05) or true.recall < 0.8
    assert truth[part.chosen.name].recall >= 0.9 - 0.02


def test_progress_comes_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "flat", "ivf-sq8")
    told: list[tuple[int, int]] = []
    plan_vectors(
        VECTORS.__getitem__, ROWS[:400], QUESTIONS, Goals(), on_progress=lambda *step: told.append(step)
    )
    assert told[0] == (0, told[-1][1]) and told[-1][0] == told[-1][1] == len(told) - 1


def index_of(path: Path, passages: int) -> StoredIndex:
    documents = [
        Document(f"d{i}", f"word{i % 97} word{i % 89} word{i % 13}. It is {i}.", splittable=False)
        for i in range(passages)
    ]
    return StoredIndex.build(documents, path, encoder=HashingEncoder())


def test_an_index_with_deleted_passages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "flat")
    index = index_of(tmp_path / "i", 260)
    index.delete([f"d{i}" for i in range(0, 40)])
    made = plan(index, Goals())
    assert made.passages == 220 and made.questions == "sentences" and made.asked == 22
    index.delete([f"d{i}" for i in range(40, 70)])
    with pytest.raises(RagkitError, match="190 passages, too few to measure on"):
        plan(index, Goals())


def test_vectors_of_passages_that_ask_are_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "flat", "ivf-sq8")
    own = Questions("vectors", VECTORS[:100], ROWS[:100])
    made = plan_vectors(VECTORS.__getitem__, ROWS[:900], own, Goals())
    assert made.passages == 800 and made.chosen.recall > 0.9
