"""The cache keeps what was synced, whole, whatever a crash leaves at its end."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.errors import RagkitError
from ragkit.index.vector_cache import VectorCache, as_keys, clean_cache

DIMENSION = 3


def keys(*numbers: int):  # type: ignore[no-untyped-def]
    return as_keys(np.array([[n] * 16 for n in numbers], dtype=np.uint8).reshape(-1, 16))


def vectors(*numbers: int) -> np.ndarray:
    return np.array([[n, n + 0.5, -n] for n in numbers], dtype=np.float32).reshape(-1, DIMENSION)


def filled(folder: Path) -> VectorCache:
    cache = VectorCache(folder, "encoder", DIMENSION)
    cache.append(keys(1, 2, 3), vectors(1, 2, 3))
    cache.append(keys(4), vectors(4))
    cache.append(keys(5, 6), vectors(5, 6))
    cache.refresh()
    return cache


def test_vectors_come_back_by_their_keys(tmp_path: Path) -> None:
    filled(tmp_path)
    cache = VectorCache(tmp_path, "encoder", DIMENSION)
    assert len(cache) == 6
    positions = cache.positions(keys(6, 9, 1, 4))
    assert positions.tolist() == [5, -1, 0, 3]
    np.testing.assert_array_equal(cache.vectors(np.array([5, 0, 3, 0])), vectors(6, 1, 4, 1))
    assert cache.vectors(np.empty(0, dtype=np.int64)).shape == (0, DIMENSION)


def test_encoders_have_their_own_files(tmp_path: Path) -> None:
    filled(tmp_path)
    assert len(VectorCache(tmp_path, "another", DIMENSION)) == 0
    assert len(VectorCache(tmp_path, "encoder", DIMENSION)) == 6


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_torn_or_changed_end_costs_only_itself(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    path = filled(folder).path
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)), label="bytes left")
    tail = data.draw(st.binary(max_size=40), label="garbage behind them")
    path.write_bytes(whole[:cut] + tail)
    cache = VectorCache(folder, "encoder", DIMENSION)
    assert len(cache) in (0, 3, 4, 6)
    kept = cache.positions(keys(1, 2, 3, 4, 5, 6))
    assert (kept[: len(cache)] == np.arange(len(cache))).all() and (kept[len(cache) :] == -1).all()
    np.testing.assert_array_equal(cache.vectors(kept[: len(cache)]), vectors(*range(1, len(cache) + 1)))
    before = len(cache)
    cache.append(keys(7), vectors(7))  # and it goes on from there
    cache.refresh()
    again = VectorCache(folder, "encoder", DIMENSION)
    assert len(cache) == len(again) == before + 1
    np.testing.assert_array_equal(again.vectors(again.positions(keys(7))), vectors(7))


def test_a_flipped_bit_is_never_served(tmp_path: Path) -> None:
    path = filled(tmp_path).path
    whole = bytearray(path.read_bytes())
    at = whole.find(vectors(4).tobytes())
    whole[at + 2] ^= 1
    path.write_bytes(whole)
    cache = VectorCache(tmp_path, "encoder", DIMENSION)
    assert len(cache) == 3 and cache.positions(keys(4)).tolist() == [-1]


def test_keep_only(tmp_path: Path) -> None:
    filled(tmp_path)
    VectorCache(tmp_path, "another", DIMENSION).append(keys(1), vectors(1))
    clean_cache(tmp_path, "encoder", DIMENSION, keys(5, 2, 5, 9))
    cache = VectorCache(tmp_path, "encoder", DIMENSION)
    assert [path.name for path in tmp_path.iterdir()] == [cache.path.name]
    assert len(cache) == 2
    np.testing.assert_array_equal(cache.vectors(cache.positions(keys(2, 5))), vectors(2, 5))


@pytest.mark.parametrize(
    "wrong", [vectors(1, 2), vectors(1)[:, :2], np.full((1, DIMENSION), np.inf, np.float32)]
)
def test_vectors_that_cannot_be_right(tmp_path: Path, wrong: np.ndarray) -> None:
    with pytest.raises(RagkitError, match="the model is broken"):
        VectorCache(tmp_path, "encoder", DIMENSION).append(keys(1), wrong)
