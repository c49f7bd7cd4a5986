import json
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.retrieval.fusion import Candidates, Fusion, agreement, default_fusion, standardised

numbers = st.floats(-50, 50, allow_nan=False).map(lambda x: round(x, 3))
pairs = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=30)


def candidates(dense: list[float], lexical: list[float]) -> Candidates:
    d, x = np.array(dense, dtype=np.float64), np.array(lexical, dtype=np.float64)
    return Candidates(np.arange(len(d)), d, x, np.sort(d)[::-1], np.sort(x)[::-1])


def test_by_hand() -> None:
    fusion = Fusion(dense=(np.log(2.0), 0.0), lexical=(0.0, 0.0))
    found = candidates([0.9, 0.5, 0.1], [0.0, 4.0, 8.0])
    z = np.array([1, 0, -1]) / np.sqrt(2 / 3)
    np.testing.assert_allclose(fusion.fuse(found), 2 * z - z)


def test_the_weights_follow_the_agreement() -> None:
    fusion = Fusion(dense=(0.1, -0.6), lexical=(-0.5, 0.4))
    expected = np.exp([0.1 - 0.6 * 0.3, -0.5 + 0.4 * 0.3])
    np.testing.assert_allclose(fusion.weights(0.3), expected)
    np.testing.assert_allclose(fusion.weights(np.array([0.3, 0.0])), [expected, np.exp([0.1, -0.5])])
    found = candidates([0.9, 0.5, 0.1], [0.0, 4.0, 8.0])
    of_dense, of_lexical = fusion.weights(-1.0)
    z_dense, z_lexical = standardised(found)
    np.testing.assert_allclose(fusion.fuse(found), of_dense * z_dense + of_lexical * z_lexical)


def test_agreement_is_pearson_s_correlation_of_the_best() -> None:
    dense, lexical = np.array([5.0, 1.0, 3.0, 0.0, -9.0]), np.array([2.0, 6.0, 1.0, 0.0, 40.0])
    best = Candidates(np.arange(5), dense, lexical, np.array([5.0, 3.0]), np.array([40.0, 6.0]))
    assert agreement(best) == pytest.approx(np.corrcoef(dense[[0, 1, 2, 4]], lexical[[0, 1, 2, 4]])[0, 1])
    assert agreement(candidates([3.0, 1.0], [5.0, 2.0])) == pytest.approx(1)
    assert agreement(candidates([3.0, 1.0], [2.0, 2.0])) == 0
    assert agreement(candidates([], [])) == 0


def test_meaning_weighs_more_where_the_sides_agree() -> None:
    weights = default_fusion().weights(np.linspace(-1, 1, 50))
    assert (np.diff(weights[:, 0] / weights.sum(axis=1)) > 0).all()


@given(pairs, st.floats(0.01, 100), st.floats(-50, 50))
def test_an_encoder_s_scale_does_not_matter(
    scores: list[tuple[float, float]], scale: float, shift: float
) -> None:
    dense, lexical = (list(side) for side in zip(*scores, strict=True))
    before = default_fusion().fuse(candidates(dense, lexical))
    after = default_fusion().fuse(candidates([scale * x + shift for x in dense], lexical))
    np.testing.assert_allclose(before, after, rtol=1e-4, atol=1e-3)


@given(pairs)
def test_what_is_better_on_both_sides_is_better(scores: list[tuple[float, float]]) -> None:
    dense, lexical = (np.array(side) for side in zip(*scores, strict=True))
    fused = default_fusion().fuse(candidates(list(dense), list(lexical)))
    for i in range(len(fused)):
        worse = (dense <= dense[i]) & (lexical <= lexical[i])
        assert (fused[worse] <= fused[i] + 1e-9).all()


@given(st.lists(numbers, min_size=1, max_size=30, unique=True), numbers)
def test_a_side_that_tells_nothing_apart_has_no_say(scores: list[float], same: float) -> None:
    order = np.argsort(scores)
    alone = default_fusion().fuse(candidates(scores, [same] * len(scores)))
    assert (np.argsort(alone) == order).all()
    alone = default_fusion().fuse(candidates([same] * len(scores), scores))
    assert (np.argsort(alone) == order).all()


def test_standardised_over_the_best_alone() -> None:
    found = Candidates(
        np.arange(3), np.array([3.0, 1.0, -7.0]), np.zeros(3), np.array([3.0, 1.0]), np.array([0.0, 0.0])
    )
    np.testing.assert_allclose(standardised(found), [[1, -1, -9], [0, 0, 0]])


def test_the_shipped_setting_was_fitted_on_training_splits_only() -> None:
    fitted = json.loads((files("ragkit.retrieval") / "fusion.json").read_text(encoding="utf-8"))
    assert fitted["questions"] and not any("test" in name or "clapnq" in name for name in fitted["questions"])
    assert "squad dev" not in fitted["questions"]
    assert default_fusion().dense == tuple(fitted["dense"])


@pytest.mark.parametrize("side", ["dense", "lexical"])
def test_the_side_that_stands_out_weighs_more(side: str) -> None:
    """A flat side and one with a clear winner: the winner comes first."""
    flat, sharp = list(np.linspace(1.0, 0.9, 100)), [5.0, *np.linspace(1.0, 0.0, 99)]
    sharp = sharp[1:50] + sharp[:1] + sharp[50:]
    found = candidates(sharp, flat) if side == "dense" else candidates(flat, sharp)
    assert int(np.argmax(default_fusion().fuse(found))) == 49
