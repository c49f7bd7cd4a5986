"""Rows 11-25: the likelihoods beyond what the row checks measure: shapes, bad labels, samples, choix."""

import math

import choix
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.chapters.basics.heads import Head, heads
from ragkit.errors import RagkitError
from ragkit.models.basics.likelihoods.beta import Beta
from ragkit.models.basics.likelihoods.classes import Bernoulli, Categorical
from ragkit.models.basics.likelihoods.likelihood import Likelihood
from ragkit.models.basics.likelihoods.magnitude import Exponential, Gamma
from ragkit.models.basics.likelihoods.mixture import MixtureOfGaussians
from ragkit.models.basics.likelihoods.multivariate_normal import MultivariateNormal
from ragkit.models.basics.likelihoods.normal import Normal
from ragkit.models.basics.likelihoods.plackett_luce import PlackettLuce
from ragkit.models.basics.likelihoods.poisson import Poisson
from ragkit.models.basics.likelihoods.robust import StudentT
from ragkit.models.basics.likelihoods.von_mises import VonMises

EVERY = [pytest.param(head, id=name) for name, head in heads().items()]


@pytest.mark.row(11)
@pytest.mark.parametrize("head", EVERY)
def test_shapes_and_domain(head: Head) -> None:
    likelihood: Likelihood = head.likelihood
    output = torch.tensor(head.output, dtype=torch.float64).expand(3, 5, -1)
    y = likelihood.sample(output, torch.Generator().manual_seed(0))
    assert y.shape == (3, 5, *likelihood.event) == likelihood.mode(output).shape
    assert likelihood.nll(output, y).shape == (3, 5)
    assert likelihood.nll(output, y).isfinite().all()
    with pytest.raises(RagkitError, match=r"labels .* expected"):
        likelihood.nll(output, y[:2])
    with pytest.raises(RagkitError, match="must output"):
        likelihood.mode(torch.zeros(3, likelihood.outputs + 1))
    nan = y.double().clone()
    nan.view(-1)[0] = math.nan
    with pytest.raises(RagkitError, match=f"{type(likelihood).__name__}: expects .* nan"):
        likelihood.nll(output, nan)


@pytest.mark.row(11)
@pytest.mark.parametrize("head", EVERY)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_any_output_has_finite_loss_and_gradient_at_its_sample(head: Head, data: st.DataObject) -> None:
    numbers = st.floats(-20, 20)
    size = head.likelihood.outputs
    raw = data.draw(st.lists(numbers, min_size=size, max_size=size))
    output = torch.tensor([raw], dtype=torch.float64, requires_grad=True)
    y = head.likelihood.sample(output.detach(), torch.Generator().manual_seed(0))
    if isinstance(head.likelihood, Exponential | Gamma):
        y = y.clamp(min=1e-300)  # a tiny shape draws numbers that underflow to 0
    if isinstance(head.likelihood, StudentT):
        y = y.clamp(-1e9, 1e9)  # few degrees of freedom draw numbers whose square overflows
    loss = head.likelihood.nll(output, y)
    (gradient,) = torch.autograd.grad(loss.sum(), output)
    assert loss.isfinite().all() and gradient.isfinite().all()


@pytest.mark.row(17)
@pytest.mark.parametrize(
    "likelihood, label",
    [
        (Exponential(), 0.0),
        (Gamma(), -2.0),
        (Beta(), 1.5),
        (Bernoulli(), 0.5),
        (Categorical(3), 3.0),
        (Categorical(3), 1.5),
        (Poisson(), -1.0),
        (Poisson(), 2.5),
        (Normal(), math.inf),
        (VonMises(), math.inf),
    ],
)
def test_labels_outside_the_domain_are_refused(likelihood: Likelihood, label: float) -> None:
    with pytest.raises(RagkitError, match=f"{type(likelihood).__name__}: expects {likelihood.domain}"):
        likelihood.nll(torch.zeros(1, likelihood.outputs), torch.tensor([label]))


@pytest.mark.row(24)
def test_rankings_with_an_item_twice_are_refused() -> None:
    with pytest.raises(RagkitError, match="each of the items 0 to 2 once"):
        PlackettLuce(3).nll(torch.zeros(1, 3), torch.tensor([[0, 1, 1]]))


@pytest.mark.row(12)
@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan])
def test_a_fixed_sigma_must_be_positive(sigma: float) -> None:
    with pytest.raises(RagkitError, match="above 0"):
        Normal(sigma)


@pytest.mark.row(24)
def test_rankings_equal_choix() -> None:
    scores = torch.randn(6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rankings = PlackettLuce(6).sample(scores.expand(30, -1), torch.Generator().manual_seed(1))
    ours = PlackettLuce(6).nll(scores.expand(30, -1), rankings).sum().item()
    theirs = -choix.log_likelihood_rankings([tuple(r) for r in rankings.tolist()], scores.numpy())
    assert ours == pytest.approx(theirs, abs=1e-9)


@pytest.mark.row(16)
def test_a_mixture_of_one_is_a_normal_and_its_peak_is_the_highest() -> None:
    output = torch.tensor([[0.3, 1.5, -0.4]], dtype=torch.float64)
    y = torch.tensor([0.2], dtype=torch.float64)
    assert MixtureOfGaussians(1).nll(output, y).item() == pytest.approx(
        Normal().nll(output[:, 1:], y).item(), abs=1e-12
    )
    narrow = torch.tensor([0.0, 0.5, -3.0, 3.0, -2.0, 1.0], dtype=torch.float64)
    # The lighter component is the narrower one: its peak is higher.
    assert MixtureOfGaussians(2).mode(narrow).item() == pytest.approx(-3, abs=1e-2)


@pytest.mark.row(19)
def test_any_output_is_a_covariance() -> None:
    head = MultivariateNormal(4)
    output = 5 * torch.randn(50, head.outputs, generator=torch.Generator().manual_seed(0)).double()
    factor = head.link(output)["factor"]
    # Triangular with a positive diagonal: positive definite, however near to singular the product is rounded.
    assert (factor.diagonal(dim1=-2, dim2=-1) > 0).all()
    assert not factor.triu(1).any()
    eigenvalues = torch.linalg.eigvalsh(factor @ factor.mT)
    assert (eigenvalues > -1e-14 * eigenvalues.amax(-1, keepdim=True)).all()


@pytest.mark.row(20)
def test_direction_has_no_jump_and_samples_point_to_it() -> None:
    behind = torch.tensor([[1e-9, -1.0, 3.0], [-1e-9, -1.0, 3.0]], dtype=torch.float64)
    y = torch.zeros(2, dtype=torch.float64)
    assert VonMises().nll(behind, y).diff().abs().item() < 1e-8
    drawn = VonMises().sample(behind[:1].expand(4000, -1), torch.Generator().manual_seed(0))
    assert ((drawn > -math.pi - 1e-9) & (drawn <= math.pi + 1e-9)).all()
    assert drawn.cos().mean() < -0.7


@pytest.mark.row(23)
def test_counts_equal_the_factorial_where_stirling_is_off() -> None:
    rate = torch.tensor([[2.0]], dtype=torch.float64)
    law = Poisson().link(rate)["rate"].item()
    exact = law - 2 * math.log(law) + math.log(2)
    ours = Poisson().nll(rate, torch.tensor([2.0], dtype=torch.float64)).item()
    stirling = torch.nn.PoissonNLLLoss(log_input=False, full=True, eps=0.0)
    theirs = stirling(torch.tensor([law]).double(), torch.tensor([2.0]).double()).item()
    assert ours == pytest.approx(exact, abs=1e-12)
    assert abs(theirs - exact) == pytest.approx(0.041, abs=1e-3)


@pytest.mark.row(15)
def test_an_outlier_pulls_a_t_less_than_a_normal() -> None:
    output = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    pulls = []
    for head, width in ((StudentT(), 3), (Normal(), 2)):
        loss = head.nll(output[:, :width], torch.tensor([30.0], dtype=torch.float64))
        pulls.append(abs(torch.autograd.grad(loss.sum(), output)[0][0, 0].item()))
    assert pulls[0] < 0.1 < 10 < pulls[1]


@pytest.mark.row(18)
def test_modes_at_the_ends_of_the_proportions() -> None:
    # Links of α and β: a large number is above 1, a very negative one close to 0.
    output = torch.tensor([[5.0, -5.0], [-5.0, 5.0], [-5.0, -5.0], [5.0, 5.0]], dtype=torch.float64)
    assert np.allclose(Beta().mode(output), [1.0, 0.0, 0.5, 0.5], atol=1e-9)
