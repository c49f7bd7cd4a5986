"""Rows 50, 51: pools and upsampling beyond what the row checks measure."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from ragkit.errors import RagkitError
from ragkit.models.vision.pooling import average_pool, max_pool, sub_sample
from ragkit.models.vision.upsampling import bilinear, duplicate, max_unpool


@pytest.mark.row(50)
def test_the_three_on_one_quadrant() -> None:
    x = torch.tensor([[[[1.0, 2.0], [4.0, 3.0]]]])
    assert sub_sample(x).item() == 1
    assert max_pool(x).values.item() == 4 and max_pool(x).places.item() == 2
    assert average_pool(x).item() == 2.5


@pytest.mark.row(50)
def test_of_equal_elements_the_first_gets_the_gradient() -> None:
    x = torch.zeros(1, 1, 2, 2, requires_grad=True)
    max_pool(x).values.sum().backward()
    assert x.grad is not None and x.grad.flatten().tolist() == [1, 0, 0, 0]
    assert max_pool(x).places.item() == 0


@pytest.mark.row(50)
def test_windows_may_be_oblong_and_of_any_dimension() -> None:
    x = torch.randn(2, 1, 4, 6, 8, dtype=torch.float64)
    assert (average_pool(x, (2, 3, 2)) - functional.avg_pool3d(x, (2, 3, 2))).abs().max() < 1e-12
    assert sub_sample(x, (1, 2, 4)).shape == (2, 1, 4, 3, 2)


@pytest.mark.row(50)
def test_pools_that_do_not_fit_are_refused() -> None:
    with pytest.raises(RagkitError, match=r"expected .batch, channels"):
        max_pool(torch.ones(4, 4))
    with pytest.raises(RagkitError, match="does not fit"):
        average_pool(torch.ones(1, 1, 4, 4), 5)
    with pytest.raises(RagkitError, match="none of them 0"):
        sub_sample(torch.ones(1, 1, 0, 4))
    with pytest.raises(RagkitError, match="window"):
        max_pool(torch.ones(1, 1, 4, 4), (2, 2, 2))


@pytest.mark.row(51)
@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 4), columns=st.integers(1, 4), seed=st.integers(0, 1000))
def test_pooling_undoes_unpooling(rows: int, columns: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(2, 3, 2 * rows, 2 * columns, generator=generator) + 0.1
    pooled = max_pool(x)
    back = max_unpool(pooled.values, pooled.places, x.shape[2:])
    assert torch.equal(max_pool(back).values, pooled.values)
    kept = back != 0
    assert int(kept.sum()) == pooled.values.numel() and torch.equal(back[kept], x[kept])
    assert torch.equal(average_pool(duplicate(x)), x)


@pytest.mark.row(51)
def test_the_notes_forms_by_hand() -> None:
    x = torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]]])
    assert bilinear(x, variant="notes")[0, 0].tolist() == [[1, 2, 3], [3, 4, 5], [5, 6, 7]]
    nails = max_unpool(x, torch.zeros(1, 1, 2, 2, dtype=torch.long), (4, 4), variant="notes")
    assert nails[0, 0].tolist() == [[1, 0, 3, 0], [0, 0, 0, 0], [5, 0, 7, 0], [0, 0, 0, 0]]


@pytest.mark.row(51)
def test_bilinear_keeps_what_is_constant_and_what_is_straight() -> None:
    line = torch.arange(6.0)[None, None]
    risen = bilinear(line, 4)[0, 0]
    assert torch.allclose(risen.diff()[2:-2], torch.full((19,), 0.25))
    assert torch.allclose(bilinear(torch.ones(1, 2, 3, 5), 3), torch.ones(1, 2, 9, 15))


@pytest.mark.row(51)
def test_upsampling_that_does_not_fit_is_refused() -> None:
    x = torch.ones(1, 1, 2, 2)
    with pytest.raises(RagkitError, match="a place for each value"):
        max_unpool(x, torch.zeros(1, 1, 2, 3, dtype=torch.long), (4, 4))
    with pytest.raises(RagkitError, match="expected 0 to 15"):
        max_unpool(x, torch.full((1, 1, 2, 2), 16), (4, 4))
    with pytest.raises(RagkitError, match="multiples"):
        max_unpool(x, torch.zeros(1, 1, 2, 2, dtype=torch.long), (5, 4), variant="notes")
    with pytest.raises(RagkitError, match="factor 0"):
        duplicate(x, 0)
