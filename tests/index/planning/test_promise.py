"""A plan built, what was promised, and what of it is measured again."""

import errno
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hashing_encoder import HashingEncoder

from ragkit.corpus.document import Document
from ragkit.encoders import loading
from ragkit.errors import RagkitError
from ragkit.index.faiss_index import FaissIndex
from ragkit.index.manifest import Promise
from ragkit.index.planning.goals import Goals
from ragkit.index.planning.plan import Plan
from ragkit.index.planning.promise import RecallCheck, build, check_recall
from ragkit.index.planning.questions import questions_of
from ragkit.index.planning.row import Row
from ragkit.index.reencoding import reencode
from ragkit.index.rewriting import store_fusion
from ragkit.index.stored import StoredIndex

ROW = Row("ivf-sq8", "IVF8,SQ8", {"nprobe": 6}, 0.97, 0.96, 1e-4, 2e-4, 50.0, 20_000, 0.1)


def documents(first: int, end: int) -> list[Document]:
    def text(i: int) -> str:
        words = " ".join(f"word{i * prime % 211}" for prime in (1, 3, 7, 11, 31))
        return f"{words}. It is {i}. Of {i % 17}."

    return [Document(f"d{i}", text(i), splittable=False) for i in range(first, end)]


@pytest.fixture
def index(tmp_path: Path) -> StoredIndex:
    return StoredIndex.build(documents(0, 400), tmp_path / "i", encoder=HashingEncoder())


def planned(index: StoredIndex, row: Row = ROW) -> Plan:
    return Plan(Goals(0.95), len(index), len(index), "sentences", 40, "", [row])


def test_what_was_chosen_is_built_and_nothing_encoded(index: StoredIndex) -> None:
    index.delete(["d7", "d9"])
    build(index, planned(index))
    built = StoredIndex.open(index.path, HashingEncoder())
    assert built.verify() == [] and len(built) == 398
    assert (built.manifest.factory, built.manifest.search) == ("IVF8,SQ8", {"nprobe": 6})
    assert built.manifest.promise == Promise(0.95, 0.97, 398, "sentences")
    assert index.manifest.promise is None, "the open index shows what it was opened with"
    check = check_recall(built)
    assert check.promise == built.manifest.promise and check.problem is None
    assert 0.9 < check.low <= check.recall <= check.high <= 1 and check.asked == 39


def test_a_promise_and_the_engine_stay_through_later_writes(index: StoredIndex) -> None:
    build(index, planned(index))
    index = StoredIndex.open(index.path, HashingEncoder())
    promise = index.manifest.promise
    index.add(documents(400, 430))
    index.delete(["d1"])
    index.compact()
    store_fusion(index.path, None)
    manifest = StoredIndex.open(index.path).manifest
    assert manifest.promise == promise and manifest.search == {"nprobe": 6}
    assert (manifest.factory, manifest.counts.passages) == ("IVF8,SQ8", 429)
    other = index.path.parent / "other"
    reencode(index.path, other, HashingEncoder("b"))
    assert StoredIndex.open(other).manifest.promise is None, "other vectors were promised nothing"


def test_a_full_disk_leaves_the_index_as_it_was(index: StoredIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: FaissIndex, path: Path) -> None:
        path.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(FaissIndex, "save", full)
        with pytest.raises(RagkitError, match="no space left on the disk"):
            build(index, planned(index))
    kept = StoredIndex.open(index.path, HashingEncoder())
    assert kept.verify() == [] and kept.manifest.factory == "Flat"
    build(index, planned(index))
    assert StoredIndex.open(index.path).manifest.factory == "IVF8,SQ8"


def test_goals_that_nothing_keeps_build_nothing(index: StoredIndex) -> None:
    with pytest.raises(RagkitError, match="no engine keeps"):
        build(index, planned(index, replace(ROW, bound=0.9)))
    assert StoredIndex.open(index.path).info().generation == 1


@pytest.mark.parametrize(
    ("low", "recall", "high", "broken"),
    [(0.94, 0.95, 0.96, False), (0.92, 0.926, 0.932, False), (0.91, 0.92, 0.929, True)],
)
def test_a_promise_is_broken_beyond_chance_and_a_little(
    low: float, recall: float, high: float, broken: bool
) -> None:
    check = RecallCheck(recall, low, high, "sentences", 300, "", Promise(0.95, 0.96, 1000, "sentences"))
    assert (check.problem is not None) == broken
    assert replace(check, promise=None).problem is None


def test_lists_that_are_not_looked_into_are_seen(index: StoredIndex) -> None:
    build(index, planned(index, replace(ROW, search={"nprobe": 1})))
    check = check_recall(StoredIndex.open(index.path, HashingEncoder()))
    assert check.recall < 0.9 and check.problem and "0.95 was promised" in check.problem


def test_without_its_encoder_passages_ask_for_their_neighbours(
    index: StoredIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(spec: str, *computed: str, **how: str) -> None:
        raise RagkitError(f"no model {spec!r}")

    monkeypatch.setattr(loading, "load_encoder", gone)
    opened = StoredIndex.open(index.path)
    asked = questions_of(opened)
    assert asked.kind == "vectors" and "no model 'hashing-a'" in asked.note and asked.rows is not None
    np.testing.assert_array_equal(asked.vectors, opened.passage_vectors()(asked.rows))
    check = check_recall(opened)
    assert check.recall == 1 and check.questions == "vectors", "exact search finds all others"
    with pytest.raises(RagkitError, match="no model"):
        questions_of(opened, ["a question"], "set")


def test_questions_are_drawn_once_and_others_by_another_seed(index: StoredIndex) -> None:
    a, again, other = (questions_of(index, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(a.vectors, again.vectors)
    assert len(a.vectors) == 40 and not np.array_equal(a.vectors, other.vectors)
    some = questions_of(index, [f"question {i}" for i in range(50)], "set", count=20)
    assert some.kind == "set" and len(some.vectors) == 20 and some.rows is None


def test_too_few_passages_to_miss_any(tmp_path: Path) -> None:
    few = StoredIndex.build(documents(0, 9), tmp_path / "few", encoder=HashingEncoder())
    with pytest.raises(RagkitError, match="every search finds them all"):
        check_recall(few)
