import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ragkit.errors import RagkitError
from ragkit.generation.marginal import log_priors, log_sum, none_answers, normalised, without

scores = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=20)


@pytest.mark.row(99)
@given(scores, st.floats(1e-2, 1e2))
def test_the_prior_is_a_distribution_that_rises_with_the_score(values, temperature):
    prior = np.exp(log_priors(values, temperature))
    assert prior.sum() == pytest.approx(1, abs=1e-12)
    assert (prior >= 0).all()
    order = np.argsort(values)
    assert (np.diff(prior[order]) >= -1e-15).all()


@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0.05, 10))
def test_the_temperature_divides_the_odds(one, two, temperature):
    prior = log_priors([one, two], temperature)
    assert prior[0] - prior[1] == pytest.approx((one - two) / temperature)


@pytest.mark.parametrize("temperature", [0, -1, float("nan")])
def test_a_temperature_must_be_above_zero(temperature):
    with pytest.raises(RagkitError, match="temperature"):
        log_priors([1.0], temperature)


def test_a_score_must_be_finite():
    with pytest.raises(RagkitError, match="finite"):
        log_priors([1.0, float("-inf")], 1.0)


@given(arrays(np.float64, (3, 4), elements=st.floats(-700, 700)))
def test_log_sum_equals_the_sum(logs):
    assert log_sum(logs) == pytest.approx(np.logaddexp.reduce(logs, axis=-1), rel=1e-12, abs=1e-12)
    assert np.exp(normalised(logs)).sum(-1) == pytest.approx(1)


def test_log_sum_of_nothing_is_nothing():
    assert log_sum(np.array([[-np.inf, -np.inf], [-np.inf, 1.0]])).tolist() == [-np.inf, 1.0]


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=6), st.data())
def test_no_answer_in_any_passage_is_stricter_than_their_mixture(none, data):
    priors = data.draw(st.lists(st.floats(0, 3), min_size=len(none), max_size=len(none)))
    none = np.array(none)
    assert none_answers(np.log(none)) == (none.prod() > 0.5)
    if none_answers(np.log(none)):
        assert np.exp(log_sum(log_priors(priors, 1.0) + np.log(none))) > 0.5
    assert not none_answers(np.log(np.append(none, 0.4)))


@given(st.lists(st.floats(-20, 20), min_size=2, max_size=6), st.data())
def test_without_a_passage_the_rest_is_as_if_it_were_not_there(values, data):
    left_out = data.draw(st.integers(0, len(values) - 1))
    rest = without(log_priors(values, 1.0), left_out)
    assert rest[left_out] == -np.inf
    again = log_priors(values[:left_out] + values[left_out + 1 :], 1.0)
    assert np.delete(rest, left_out) == pytest.approx(again, abs=1e-9)
