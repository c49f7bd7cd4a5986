"""Inverted lists that outgrow memory: the same index comes out, whatever had to wait in files."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import faiss
import numpy as np
import pytest
from hashing_encoder import HashingEncoder

from ragkit.corpus.document import Document
from ragkit.errors import RagkitError
from ragkit.index import faiss_index, inverted_lists
from ragkit.index.faiss_index import FaissIndex
from ragkit.index.stored import StoredIndex
from ragkit.index.vector_index import brute_force

N, DIMENSION, K = 3000, 16, 10
VECTORS = np.random.default_rng(0).standard_normal((N, DIMENSION), dtype=np.float32)
QUESTIONS = np.random.default_rng(1).standard_normal((25, DIMENSION), dtype=np.float32)
IDS = np.arange(N, dtype=np.int64)[::-1].copy()
FAMILIES = ["IVF16,Flat", "IVF16,SQ8", "IVF16,PQ8", "IVF16,RaBitQ", "PCA8,IVF16,Flat", "IVF16_HNSW8,Flat"]


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists of more than 10 kB leave memory; vectors are added 500 at a time."""
    monkeypatch.setattr(inverted_lists, "PART_BYTES", 10_000)
    monkeypatch.setattr(faiss_index, "ADDED_BYTES", 500 * DIMENSION * 4)


def built(factory: str, spill: Path | None = None, rows: slice = slice(None), step: int = 400) -> FaissIndex:
    index = FaissIndex(DIMENSION, factory, {"nprobe": 4})
    index.train(VECTORS[:1000])
    if spill is not None:
        index.spill_into(spill)
    vectors, ids = VECTORS[rows], IDS[rows]
    for at in range(0, len(vectors), step):
        index.add(vectors[at : at + step], ids[at : at + step])
    return index


def same(a: FaissIndex, b: FaissIndex, allowed: np.ndarray | None = None) -> None:
    np.testing.assert_array_equal(a.search(QUESTIONS, K, allowed)[1], b.search(QUESTIONS, K, allowed)[1])


def is_mapped(index: FaissIndex) -> bool:
    lists = faiss.downcast_InvertedLists(faiss.extract_index_ivf(index._engine).invlists)
    return isinstance(lists, faiss.OnDiskInvertedLists)


@pytest.mark.parametrize("factory", FAMILIES)
def test_the_same_as_in_memory(factory: str, tmp_path: Path, small_memory: None) -> None:
    index = built(factory, tmp_path)
    assert any(tmp_path.glob("lists-*/*")), "nothing had to wait in a file: the test shows nothing"
    with pytest.raises(RagkitError, match="being written"):
        index.search(QUESTIONS, K)
    index.save(tmp_path / "vectors.faiss")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["vectors.faiss", "vectors.lists"]
    whole = built(factory)
    same(index, whole)  # the one that was saved goes on with the file
    loaded = FaissIndex.load(tmp_path / "vectors.faiss")
    assert is_mapped(loaded) and len(loaded) == N
    same(loaded, whole)


@pytest.mark.parametrize("directly", [0, 10_000])
@pytest.mark.parametrize("factory", ["IVF16,Flat", "IVF16,SQ8", "PCA8,IVF16,Flat"])
def test_filters_on_mapped_lists(
    factory: str, directly: int, tmp_path: Path, small_memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By FAISS's selectors, and by scoring all that is allowed."""
    monkeypatch.setattr(faiss_index, "SCORED_DIRECTLY", directly)
    built(factory, tmp_path).save(tmp_path / "vectors.faiss")
    loaded = FaissIndex.load(tmp_path / "vectors.faiss")
    for allowed in (IDS[::7], IDS[:3], IDS[:0], np.array([5, 10**9])):
        same(loaded, built(factory), allowed)
        found = loaded.search(QUESTIONS, K, allowed)[1]
        assert (np.sum(found >= 0, axis=1) == min(K, np.isin(allowed, IDS).sum())).all()


def test_all_lists_of_a_mapped_index_are_exact(tmp_path: Path, small_memory: None) -> None:
    built("IVF16,Flat", tmp_path).save(tmp_path / "vectors.faiss")
    loaded = FaissIndex.load(tmp_path / "vectors.faiss")
    loaded.set_search({"nprobe": 16})
    np.testing.assert_array_equal(loaded.search(QUESTIONS, K)[1], brute_force(VECTORS, IDS, QUESTIONS, K)[1])


@pytest.mark.parametrize("spill", [True, False])
def test_adding_and_removing(spill: bool, tmp_path: Path, small_memory: None) -> None:
    """To mapped lists, with files to wait in and without: both change, neither touches the file itself."""
    built("IVF16,SQ8", tmp_path, slice(0, 2000)).save(tmp_path / "first.faiss")
    before = (tmp_path / "first.lists").read_bytes()
    index = FaissIndex.load(tmp_path / "first.faiss")
    if spill:
        index.spill_into(tmp_path)
    gone = IDS[:2000:3]
    assert index.remove(gone) == len(gone)
    index.add(VECTORS[2000:], IDS[2000:])
    index.save(tmp_path / "second.faiss")
    assert (tmp_path / "second.lists").exists() == spill
    assert (tmp_path / "first.lists").read_bytes() == before
    whole = built("IVF16,SQ8")
    whole.remove(gone)
    for one in (index, FaissIndex.load(tmp_path / "second.faiss")):
        same(one, whole)
        assert not np.isin(gone, one.ids).any() and len(one) == N - len(gone)


def test_an_engine_that_keeps_whole_vectors_besides_stays_in_memory(
    tmp_path: Path, small_memory: None
) -> None:
    index = built("IVF16,PQ8x4,RFlat", tmp_path)
    index.save(tmp_path / "vectors.faiss")
    assert [path.name for path in tmp_path.iterdir()] == ["vectors.faiss"]
    same(FaissIndex.load(tmp_path / "vectors.faiss"), built("IVF16,PQ8x4,RFlat"))


@pytest.mark.parametrize("left", [0, 3, 100, 0.5])
def test_lists_that_are_damaged(left: float, tmp_path: Path, small_memory: None) -> None:
    built("IVF16,SQ8", tmp_path).save(tmp_path / "vectors.faiss")
    lists = tmp_path / "vectors.lists"
    content = lists.read_bytes()
    lists.write_bytes(content[: int(left * len(content)) if isinstance(left, float) else left])
    with pytest.raises(RagkitError, match="damaged") as error:
        FaissIndex.load(tmp_path / "vectors.faiss")
    assert "\n" not in str(error.value)


def documents(first: int, end: int) -> list[Document]:
    return [
        Document(f"d{i}", f"text{i} of {i % 9} words {i % 23}", splittable=False) for i in range(first, end)
    ]


def index_of(folder: Path) -> StoredIndex:
    return StoredIndex.build(documents(0, 1200), folder, encoder=HashingEncoder(), factory="IVF8,SQ8")


def test_an_index_whose_lists_are_larger_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through its whole life it finds what one that fits into memory finds."""
    questions = HashingEncoder().encode_questions([f"text{i} of {i % 9}" for i in range(0, 1500, 50)])

    def life(folder: Path) -> Iterator[StoredIndex]:
        index = index_of(folder)
        yield index
        index.add(documents(1200, 1500))
        yield index
        index.delete([f"d{i}" for i in range(0, 1500, 10)])
        yield index
        index.compact()
        yield index

    whole = list(map(found_by(questions), life(tmp_path / "whole")))
    monkeypatch.setattr(inverted_lists, "PART_BYTES", 10_000)
    monkeypatch.setattr(faiss_index, "ADDED_BYTES", 300 * 4 * HashingEncoder().dimension)
    for index, expected in zip(life(tmp_path / "parts"), whole, strict=True):
        assert "vectors.lists" in index.manifest.files and index.verify() == []
        np.testing.assert_array_equal(found_by(questions)(index), expected)
    (lists,) = index.path.glob("generations/*/vectors.lists")
    assert index.info().vector_size > lists.stat().st_size > 1350 * HashingEncoder().dimension
    lists.write_bytes(b"short")
    with pytest.raises(RagkitError, match=r"vectors\.lists has 5 bytes"):
        StoredIndex.open(index.path)


def found_by(questions: np.ndarray) -> Callable[[StoredIndex], np.ndarray]:
    return lambda index: StoredIndex.open(index.path).dense_candidates(questions, K)[1]


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {here!r}]
from hashing_encoder import HashingEncoder
from ragkit.index import faiss_index, inverted_lists
from ragkit.index.stored import StoredIndex
from test_inverted_lists import documents

inverted_lists.PART_BYTES, faiss_index.ADDED_BYTES = 10_000, 300 * 4 * HashingEncoder().dimension
write, written = inverted_lists._write, []

def kill(parts, path):
    write(parts, path)
    written.append(path)
    if len(written) == {number}:
        path.write_bytes(path.read_bytes()[:1000])
        os.kill(os.getpid(), signal.SIGKILL)

inverted_lists._write = kill
StoredIndex.build(documents(0, 1500), Path({folder!r}), encoder=HashingEncoder(), factory="IVF8,SQ8")
"""


@pytest.mark.parametrize(("number", "name"), [(2, "1"), (6, "vectors.lists")])
def test_killed_while_lists_are_written(number: int, name: str, tmp_path: Path) -> None:
    """A part that waits, or the file of all: half of it is left, and no later build or search minds."""
    folder = tmp_path / "i"
    index_of(folder)
    script = KILLED.format(
        tests=str(Path(__file__).parents[1]), here=str(Path(__file__).parent), number=number,
        folder=str(folder),
    )  # fmt: skip
    killed = subprocess.run([sys.executable, "-c", script], env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert killed.returncode == -signal.SIGKILL
    (half,) = folder.glob(f"generations/000002/**/{name}")
    assert half.stat().st_size == 1000
    before = StoredIndex.open(folder)
    assert len(before) == 1200 and before.verify(encoder=False) == []
    del before  # and with it the hold on its generation
    index = StoredIndex.build(documents(0, 1500), folder, encoder=HashingEncoder(), factory="IVF8,SQ8")
    assert index.last_write is not None and index.last_write.encoded == 0
    assert [path.name for path in folder.glob("generations/*")] == ["000002"] and index.verify() == []
