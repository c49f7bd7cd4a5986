"""Exact search in blocks against brute force over all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.index import exact
from ragkit.index.exact import best_products
from ragkit.index.vector_index import brute_force


@given(
    n=st.integers(0, 200),
    block=st.integers(1, 90),
    k=st.integers(1, 12),
    q=st.integers(0, 7),
    seed=st.integers(0, 99),
)
@settings(max_examples=80, deadline=None)
def test_blocks_against_all_at_once(n: int, block: int, k: int, q: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Small whole numbers: products are exact, and many are equal.
    passages = rng.integers(-2, 3, (n, 3)).astype(np.float32)
    questions = rng.integers(-2, 3, (q, 3)).astype(np.float32)
    positions = np.sort(rng.choice(1000, n, replace=False))
    patch = pytest.MonkeyPatch()
    patch.setattr(exact, "QUERIES", 3)
    blocks = [(positions[at : at + block], passages[at : at + block]) for at in range(0, n, block)]
    try:
        scores, best = best_products(questions, blocks, k)
    finally:
        patch.undo()
    found = min(k, n)
    expected_scores, expected = brute_force(passages, positions, questions, found)
    np.testing.assert_array_equal(best[:, :found], expected)
    np.testing.assert_array_equal(scores[:, :found], expected_scores)
    assert (best[:, found:] == -1).all() and np.isneginf(scores[:, found:]).all()
