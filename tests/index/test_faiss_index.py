"""Every FAISS family, built, saved, searched, filtered and pruned, against brute force in numpy."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.errors import RagkitError
from ragkit.index import faiss_index
from ragkit.index.faiss_index import FaissIndex, needed_rows, training_rows
from ragkit.index.vector_index import VectorIndex, brute_force

N, DIMENSION, K = 800, 32, 10
# Recall@10 that each family must reach on clustered vectors: exact ones all, others what their codes allow.
EXACT = {"Flat": {}, "IVF16,Flat": {"nprobe": 16}, "IVF16_HNSW8,Flat": {"nprobe": 16}}
FAMILIES = {
    **{factory: (search, 1.0) for factory, search in EXACT.items()},
    "HNSW16": ({"efSearch": 64}, 0.95),
    "HNSW16,SQ8": ({"efSearch": 64}, 0.9),
    "NSG8": ({}, 0.8),
    "SQ8": ({}, 0.95),
    "SQfp16": ({}, 0.98),
    "PQ16": ({}, 0.8),
    "PQ16x4fs": ({}, 0.5),
    "RaBitQ": ({}, 0.4),
    "IVF16,SQ8": ({"nprobe": 16}, 0.95),
    "IVF16,PQ16": ({"nprobe": 16}, 0.8),
    "IVF16,RaBitQ": ({"nprobe": 16}, 0.4),
    "PCA16,Flat": ({}, 0.5),
    "PCA16,IVF16,Flat": ({"nprobe": 16}, 0.5),
    "IVF16,PQ16x4,RFlat": ({"nprobe": 16, "k_factor_rf": 8}, 0.9),
    "IVF16,PQ16x4fs,Refine(SQ8)": ({"nprobe": 16, "k_factor_rf": 8}, 0.9),
    "HNSW16_SQ8": ({"efSearch": 64}, 0.9),
    "IVF16,SQ6": ({"nprobe": 16}, 0.9),
}
# These take all their vectors at once.
STATIC = {"NSG8"}


def _vectors(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((20, DIMENSION))
    x = centres[rng.integers(0, 20, n)] + 0.7 * rng.standard_normal((n, DIMENSION))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


PASSAGES, QUESTIONS = _vectors(N, 1), _vectors(20, 2)
IDS = np.random.default_rng(3).permutation(np.arange(5, 5 + 3 * N, 3)).astype(np.int64)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One saved index a family: 600 vectors built, the others added where the family takes them."""
    folder = tmp_path_factory.mktemp("faiss")
    paths = {}
    for factory, (search, _) in FAMILIES.items():
        index = FaissIndex(DIMENSION, factory, search)
        first = N if factory in STATIC else 600
        index.build(PASSAGES[:first], IDS[:first])
        index.add(PASSAGES[first:], IDS[first:])
        before = index.search(QUESTIONS, K)
        paths[factory] = folder / f"{len(paths)}.faiss"
        index.save(paths[factory])
        after = FaissIndex.load(paths[factory]).search(QUESTIONS, K)
        assert (before[1] == after[1]).all(), f"{factory}: other ids after saving and loading"
        np.testing.assert_array_equal(before[0], after[0])
    return paths


def _recall(found: np.ndarray, best: np.ndarray) -> float:
    return float(np.mean([len(set(f) & set(b)) / len(b) for f, b in zip(found, best, strict=True)]))


@pytest.mark.row(102)
@pytest.mark.parametrize("factory", FAMILIES)
def test_families_against_brute_force(saved: dict[str, Path], factory: str) -> None:
    index: VectorIndex = FaissIndex.load(saved[factory])
    assert len(index) == N
    scores, ids = index.search(QUESTIONS, K)
    exact_scores, exact = brute_force(PASSAGES, IDS, QUESTIONS, K)
    assert (np.diff(scores, axis=1) <= 1e-6).all()
    assert _recall(ids, exact) >= FAMILIES[factory][1]
    if factory in EXACT:
        np.testing.assert_array_equal(ids, exact)
        np.testing.assert_allclose(scores, exact_scores, atol=1e-5)


@pytest.mark.row(102)
@pytest.mark.parametrize("factory", FAMILIES)
@pytest.mark.parametrize("directly", [0, 10_000])
@given(data=st.data())
@settings(max_examples=5, deadline=None)
def test_filters_give_k_matches(
    saved: dict[str, Path], factory: str, directly: int, data: st.DataObject
) -> None:
    """Whatever is allowed, min(k, allowed) of it come back: by FAISS's selectors, and by direct scoring."""
    patch = pytest.MonkeyPatch()
    patch.setattr(faiss_index, "SCORED_DIRECTLY", directly)
    size = data.draw(st.sampled_from([0, 1, 3, K, 50, 400, N]))
    k = data.draw(st.sampled_from([1, K, 60]))
    seed = data.draw(st.integers(0, 2**16))
    allowed = np.random.default_rng(seed).choice(IDS, size, replace=False)
    foreign = np.array([0, 1, 10**9], dtype=np.int64)  # ids that are not there change nothing
    index = FaissIndex.load(saved[factory])
    try:
        scores, ids = index.search(QUESTIONS, k, np.concatenate([allowed, foreign]))
    finally:
        patch.undo()
    found = min(k, size)
    assert ids.shape == scores.shape == (len(QUESTIONS), k)
    assert (ids[:, found:] == -1).all() and np.isneginf(scores[:, found:]).all()
    assert np.isin(ids[:, :found], allowed).all() and np.isfinite(scores[:, :found]).all()
    assert all(len(set(row[:found])) == found for row in ids.tolist())
    if factory in EXACT and size:
        keep = np.isin(IDS, allowed)
        np.testing.assert_array_equal(
            ids[:, :found], brute_force(PASSAGES[keep], IDS[keep], QUESTIONS, found)[1]
        )


@pytest.mark.row(102)
@pytest.mark.parametrize("factory", FAMILIES)
def test_removed_vectors_never_come_back(saved: dict[str, Path], factory: str, tmp_path: Path) -> None:
    index = FaissIndex.load(saved[factory])
    gone = np.concatenate([index.search(QUESTIONS, 5)[1].ravel(), IDS[:300]])
    gone = np.unique(gone)
    assert index.remove(np.append(gone, 10**9)) == len(gone)
    assert index.remove(gone) == 0
    index.save(tmp_path / "again.faiss")
    index = FaissIndex.load(tmp_path / "again.faiss")
    left = np.setdiff1d(IDS, gone)
    assert len(index) == len(left) == len(index.ids)
    for allowed in (None, IDS):
        ids = index.search(QUESTIONS, N, allowed)[1]
        assert (np.sort(ids[:, : len(left)], axis=1) == left).all()
        assert (ids[:, len(left) :] == -1).all()
    if factory in STATIC:
        with pytest.raises(RagkitError, match="cannot add"):
            index.add(PASSAGES[:1], np.array([1], dtype=np.int64))
    else:  # an id that is free again may be given again
        index.add(PASSAGES[:1], gone[:1])
        assert len(index) == len(left) + 1
        assert gone[0] in index.search(PASSAGES[:1], 3)[1]


@pytest.mark.parametrize("factory", ["Flat", "IVF16,Flat", "HNSW16"])
def test_what_is_removed_from_a_file_stays_removed_when_others_are_added(
    saved: dict[str, Path], factory: str, tmp_path: Path
) -> None:
    index = FaissIndex.load(saved[factory])
    assert index.remove(IDS[:10]) == 10
    index.add(PASSAGES[:1], np.array([1], dtype=np.int64))
    index.save(tmp_path / "again.faiss")
    for again in (index, FaissIndex.load(tmp_path / "again.faiss")):
        np.testing.assert_array_equal(np.sort(again.ids), np.sort(np.append(IDS[10:], 1)))


def test_an_empty_index_finds_nothing(tmp_path: Path) -> None:
    index = FaissIndex(DIMENSION, "Flat")
    index.build(PASSAGES[:0], IDS[:0])
    index.save(tmp_path / "empty.faiss")
    scores, ids = FaissIndex.load(tmp_path / "empty.faiss").search(QUESTIONS, 3)
    assert (ids == -1).all() and np.isneginf(scores).all()


@pytest.mark.parametrize("factory", ["Nonsense", "IVF,Flat", "PQ7", "", "HNSW32,Sideways"])
def test_factory_strings_that_faiss_does_not_know(factory: str) -> None:
    with pytest.raises(RagkitError, match="FAISS cannot make an index") as error:
        FaissIndex(DIMENSION, factory)
    assert "\n" not in str(error.value)


def test_unknown_search_parameters() -> None:
    with pytest.raises(RagkitError, match="nproob"):
        FaissIndex(DIMENSION, "IVF4,Flat", {"nproob": 3})


@pytest.mark.parametrize("factory", ["IDMap2,Flat", "IDMap,SQ8", "Flat,IDMap2"])
def test_factory_strings_that_bring_an_id_map(factory: str) -> None:
    index = FaissIndex(DIMENSION, factory)
    index.build(PASSAGES, IDS)
    assert index.search(PASSAGES[:1], 1)[1][0, 0] == IDS[0]


def test_too_few_vectors_to_train_on() -> None:
    with pytest.raises(RagkitError, match="too few"):
        FaissIndex(DIMENSION, "IVF64,Flat").build(PASSAGES[:10], IDS[:10])


def test_what_training_needs() -> None:
    assert needed_rows("Flat") == 0
    assert needed_rows("IVF64,Flat") == 64
    assert needed_rows("IVF64,PQ8") == needed_rows("PQ8") == 256
    assert needed_rows("OPQ16_32,IVF1024,PQ16x4fs") == 1024
    assert needed_rows("PQ16x4fs") == 16
    assert training_rows("Flat") == 65_536 and training_rows("IVF4096,SQ8") == 40 * 4096


def test_vectors_of_another_dimension(saved: dict[str, Path]) -> None:
    with pytest.raises(RagkitError, match="dimensions"):
        FaissIndex.load(saved["Flat"]).search(np.zeros((1, DIMENSION + 1), np.float32), 1)


def test_files_that_are_no_index(saved: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "broken.faiss"
    whole = saved["HNSW16"].read_bytes()
    for content in (b"", b"nonsense", whole[:100], whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(RagkitError, match=r"broken\.faiss is damaged") as error:
            FaissIndex.load(path)
        assert "\n" not in str(error.value)
