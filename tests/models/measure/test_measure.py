"""Chapter 3 beyond its table: properties, and what is refused."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.errors import RagkitError
from ragkit.models.measure.augmentation import moved, shift_and_rotate
from ragkit.models.measure.bias_variance import decompose
from ragkit.models.measure.dimension import contrast, intrinsic_dimension
from ragkit.models.measure.double_descent import noisy_labels, random_relu_features
from ragkit.models.measure.dropout import DropConnect, Dropout
from ragkit.models.measure.penalties import l1, l2, lasso, soft_threshold
from ragkit.models.measure.splits import grouped_split
from ragkit.models.measure.temperature import fit_temperature


@pytest.mark.row(36)
@given(st.lists(st.text(max_size=3)), st.integers(0, 5))
def test_every_item_is_in_one_part_with_its_group(groups: list[str], seed: int) -> None:
    parts = grouped_split(groups, (0.5, 0.3, 0.2), seed)
    assert sorted(i for part in parts for i in part.tolist()) == list(range(len(groups)))
    found = [{groups[i] for i in part} for part in parts]
    assert sum(map(len, found)) == len(set(groups))


@pytest.mark.row(36)
def test_another_seed_is_another_split_and_shares_must_sum_to_one() -> None:
    groups = [str(number) for number in range(200)]
    assert grouped_split(groups, seed=1)[1].tolist() != grouped_split(groups, seed=2)[1].tolist()
    for shares in ((0.5, 0.4), (1.2, -0.2), ()):
        with pytest.raises(RagkitError, match="sum to 1"):
            grouped_split(groups, shares)


@pytest.mark.row(37)
@pytest.mark.parametrize("temperature", [0.25, 1.0, 7.0])
def test_the_temperature_that_logits_were_divided_by_is_found(temperature: float) -> None:
    torch.manual_seed(0)
    logits = 2 * torch.randn(20_000, 5, dtype=torch.float64)
    labels = torch.distributions.Categorical(logits=logits).sample()
    assert fit_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.05)


@pytest.mark.row(38)
def test_parts_of_known_predictions() -> None:
    predictions = torch.tensor([[1.0, 2.0], [3.0, 2.0]], dtype=torch.float64)
    parts = decompose(predictions, torch.tensor([1.0, 2.0], dtype=torch.float64), 0.5)
    # of the first place: variance 2, mean 2; bias² (2 - 1)² less the half of the variance
    assert parts == pytest.approx((1.0, 0.0, 0.5)) and parts.total == pytest.approx(1.5)


@pytest.mark.row(40)
def test_noisy_labels_are_wrong_ones_and_features_are_no_less_than_zero() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(10).repeat(30)
    noisy = noisy_labels(labels, 0.15, generator)
    assert int((noisy != labels).sum()) == 45 and set(noisy.tolist()) == set(range(10))
    features = random_relu_features(torch.randn(7, 3), 5, generator)
    assert features.shape == (7, 5) and bool((features >= 0).all())


@pytest.mark.row(41)
def test_distances_on_a_line_and_the_dimension_of_a_curve() -> None:
    points = torch.tensor([[1.0], [2.0], [5.0]], dtype=torch.float64)
    assert contrast(points, torch.zeros(1, 1, dtype=torch.float64)) == pytest.approx(4.0)
    torch.manual_seed(0)
    angle = 6 * torch.rand(3000, 1, dtype=torch.float64)
    curve = torch.cat([angle.sin(), angle.cos(), angle], dim=1)
    assert intrinsic_dimension(curve) == pytest.approx(1, abs=0.1)
    with pytest.raises(RagkitError, match="3 different points"):
        intrinsic_dimension(points.repeat(20, 1))


@pytest.mark.row(42)
@settings(deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=6), st.floats(0, 3))
def test_the_threshold_is_the_proximal_step_of_l1(values: list[float], threshold: float) -> None:
    v = torch.tensor(values, dtype=torch.float64)
    best = soft_threshold(v, threshold)

    def objective(w: torch.Tensor) -> torch.Tensor:
        return (w - v).square() / 2 + threshold * w.abs()

    grid = torch.linspace(-6, 6, 2401, dtype=torch.float64)[:, None]
    assert bool((objective(best) <= objective(grid).min(dim=0).values + 1e-9).all())


@pytest.mark.row(42)
def test_lasso_meets_its_conditions_and_penalties_are_sums() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(30, 8, dtype=torch.float64), torch.randn(30, dtype=torch.float64)
    w = lasso(x, y, 0.1)
    gradient = x.mT @ (x @ w - y) / 30
    assert bool((gradient.abs() <= 0.1 + 1e-9).all())
    torch.testing.assert_close(gradient[w != 0], -0.1 * w[w != 0].sign())
    assert not lasso(x, y, 100.0).any()
    tensors = [torch.tensor([1.0, -2.0]), torch.tensor([[3.0]])]
    assert float(l2(tensors)) == 14 and float(l1(tensors)) == 6


@pytest.mark.row(44)
def test_shifts_and_turns_of_whole_pixels_are_exact() -> None:
    images = torch.rand(2, 1, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(shift_and_rotate(images, 0, 0), images)
    none, quarter = torch.zeros(2, dtype=torch.float64), torch.full((2,), 90.0, dtype=torch.float64)
    torch.testing.assert_close(moved(images, none, none, quarter), images.rot90(-1, (2, 3)))
    right = moved(images, torch.tensor([1.0, 2.0], dtype=torch.float64), none, none)
    torch.testing.assert_close(right[0, :, :, 1:], images[0, :, :, :-1])
    torch.testing.assert_close(right[1, :, :, 2:], images[1, :, :, :-2])
    assert not right[1, :, :, :2].any()
    both = moved(images, none, none + 3, quarter)
    torch.testing.assert_close(both[:, :, 3:], images.rot90(-1, (2, 3))[:, :, :-3])


@pytest.mark.row(44)
def test_what_is_drawn_follows_from_the_generator_and_differs_between_images() -> None:
    image = torch.rand(1, 1, 8, 8).repeat(2, 1, 1, 1)
    first, again = (shift_and_rotate(image, 1, 15, torch.Generator().manual_seed(3)) for _ in range(2))
    torch.testing.assert_close(first, again)
    assert not torch.allclose(first[0], first[1])


@pytest.mark.row(45)
def test_dropconnect_keeps_the_mean_only_with_its_factor() -> None:
    torch.manual_seed(0)
    x = torch.rand(1, 500)
    for variant, factor in (("standard", 1.0), ("notes", 0.75)):
        layer = DropConnect(500, 200, 0.25, variant)  # type: ignore[arg-type]
        torch.nn.init.ones_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
        assert layer(x).mean().item() == pytest.approx(factor * float(x.sum()), rel=0.02)
        layer.eval()
        torch.testing.assert_close(layer(x), torch.nn.functional.linear(x, layer.weight, layer.bias))
    with pytest.raises(RagkitError, match="below 1"):
        Dropout(1.0)(x)
