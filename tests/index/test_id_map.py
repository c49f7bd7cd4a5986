"""Positions of ids, whatever the order in which they came."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ragkit.index.id_map import REMOVED, IdMap


@given(
    ids=st.lists(st.integers(0, 50), unique=True, max_size=20),
    removed=st.sets(st.integers(0, 19)),
    ascending=st.booleans(),
    asked=st.lists(st.integers(0, 60), max_size=10),
)
def test_positions(ids: list[int], removed: set[int], ascending: bool, asked: list[int]) -> None:
    ids = [REMOVED if i in removed else name for i, name in enumerate(sorted(ids) if ascending else ids)]
    known = IdMap(np.array(ids, dtype=np.int64))
    assert known.live.tolist() == [i for i, name in enumerate(ids) if name != REMOVED]
    expected = sorted({ids.index(name) for name in asked if name in ids})
    assert known.positions(np.array(asked, dtype=np.int64)).tolist() == expected
