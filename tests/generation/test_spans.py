"""The span search equals trying every span."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.generation.spans import best_span


@settings(deadline=None)
@given(
    rows=st.integers(1, 4),
    tokens=st.integers(1, 12),
    longest=st.integers(1, 15),
    allowed=st.floats(0, 1),
    seed=st.integers(0, 10_000),
)
def test_equals_brute_force(rows: int, tokens: int, longest: int, allowed: float, seed: int) -> None:
    drawn = torch.Generator().manual_seed(seed)
    # Few distinct values, so that ties occur.
    start, end = (torch.randint(-3, 4, (rows, tokens), generator=drawn).float() for _ in range(2))
    mask = torch.rand(rows, tokens, generator=drawn) < allowed
    found_i, found_j, score = best_span(start, end, mask, longest)
    for row in range(rows):
        spans = [
            (float(start[row, i] + end[row, j]), -i, -j)
            for i in range(tokens)
            for j in range(i, min(i + longest, tokens))
            if mask[row, i] and mask[row, j]
        ]
        if not spans:
            assert score[row] == float("-inf")
        else:
            best = max(spans)
            assert (float(score[row]), -int(found_i[row]), -int(found_j[row])) == best


def test_length_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        best_span(torch.zeros(1, 2), torch.zeros(1, 2), torch.ones(1, 2, dtype=torch.bool), 0)
