"""Rows 119-123 beyond the table: limits, what is refused, and what the recipes draw."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.distributions import Normal as TorchNormal
from torch.distributions import kl_divergence

from ragkit.chapters.generative.autoencoders import DENOISING
from ragkit.chapters.generative.density import SCORES, discriminator, gaussian, vae_bound
from ragkit.chapters.generative.digits import class_entropies, rebuilt_by_components
from ragkit.chapters.generative.vae import DigitsVae, independent_pixels
from ragkit.errors import RagkitError
from ragkit.models.basics.likelihoods.classes import Bernoulli
from ragkit.models.basics.mlp import Mlp
from ragkit.models.generative.autoencoder import Autoencoder, reconstruction_error
from ragkit.models.generative.denoising import corrupted, psnr
from ragkit.models.generative.elbo import elbo, kl_to_prior
from ragkit.models.generative.importance_weighted_bound import importance_weighted_bound
from ragkit.models.generative.interpolation import interpolated
from ragkit.models.generative.reparametrisation import DiagonalNormal, score_function_surrogate
from ragkit.models.generative.vae import Vae
from ragkit.training.recipe import LoopSettings


@pytest.mark.row(119)
def test_the_components_are_scikit_learns_and_a_linear_autoencoder_of_them_rebuilds_the_same() -> None:
    from sklearn.decomposition import PCA

    generator = torch.Generator().manual_seed(0)
    train, x = (torch.randn(n, 6, generator=generator).double() for n in (50, 9))
    pca = PCA(3).fit(train.numpy())
    theirs = torch.from_numpy(pca.inverse_transform(pca.transform(x.numpy())))
    torch.testing.assert_close(rebuilt_by_components(train, x, 3), theirs)
    model = Autoencoder(nn.Linear(6, 3), nn.Linear(3, 6)).double()
    directions, mean = torch.from_numpy(pca.components_), torch.from_numpy(pca.mean_)
    with torch.no_grad():
        model.encoder.weight.copy_(directions)  # type: ignore[union-attr, operator]
        model.encoder.bias.copy_(-directions @ mean)  # type: ignore[union-attr, operator]
        model.decoder.weight.copy_(directions.T)  # type: ignore[union-attr, operator]
        model.decoder.bias.copy_(mean)  # type: ignore[union-attr, operator]
        assert reconstruction_error(theirs, model(x)).max() < 1e-20


@pytest.mark.row(120)
def test_corruption_is_as_strong_as_asked_and_kept_in_its_domain() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(200, 64, generator=generator) + 0.5
    assert (corrupted(x, 0.3, generator=generator) - x).std().item() == pytest.approx(0.3, rel=0.02)
    masked = corrupted(x, 0.25, "mask", generator)
    assert (masked == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert torch.equal(masked[masked != 0], x[masked != 0])
    assert torch.equal(corrupted(x, 0.0), x)
    assert psnr(x, x + 0.1).item() == pytest.approx(20, abs=1e-3)
    for level, kind in ((-0.1, "noise"), (1.5, "mask")):
        with pytest.raises(RagkitError, match="corruption by"):
            corrupted(x, level, kind)  # type: ignore[arg-type]


@pytest.mark.row(120)
def test_the_denoising_recipe_draws_what_it_saw_and_rebuilt(tmp_path: Path) -> None:
    reached = DENOISING.with_settings({"max_steps": "3"}).run(tmp_path)
    assert reached["dB gained by PCA"] > 5 and (tmp_path / "rebuilt.png").is_file()


def vae(latent: int = 2) -> Vae:
    torch.manual_seed(0)
    return Vae(Mlp([5, 8, 2 * latent]), Mlp([latent, 8, 5]), latent, Bernoulli()).double()


@pytest.mark.row(121)
def test_the_divergence_is_torchs_and_0_for_the_prior_itself() -> None:
    q = DiagonalNormal(*torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0)).double())
    theirs = kl_divergence(TorchNormal(q.mean, (q.log_variance / 2).exp()), TorchNormal(0.0, 1.0)).sum(-1)
    torch.testing.assert_close(kl_to_prior(q), theirs, atol=1e-12, rtol=0)
    assert kl_to_prior(DiagonalNormal(torch.zeros(4), torch.zeros(4))).item() == 0
    z = torch.randn(3, 4, dtype=torch.float64)
    own = TorchNormal(q.mean, (q.log_variance / 2).exp()).log_prob(z).sum(-1)
    torch.testing.assert_close(q.log_density(z), own)


@pytest.mark.row(121)
def test_the_bounds_rise_with_the_draws_to_the_log_likelihood() -> None:
    model, x = vae(1), torch.tensor([[1.0, 0.0, 1.0, 1.0, 0.0]], dtype=torch.float64)
    grid = torch.linspace(-8, 8, 2001, dtype=torch.float64)
    with torch.no_grad():
        joint = model.log_likelihood(x, grid[:, None]) + TorchNormal(0.0, 1.0).log_prob(grid)
        exact = (joint.logsumexp(0) + math.log(16 / 2000)).item()
        torch.manual_seed(1)
        found = [
            torch.stack([importance_weighted_bound(model, x, k) for _ in range(200)]).mean().item()
            for k in (1, 5, 500)
        ]
        bound = elbo(model, x, 4000).item()
    assert bound < found[1] < found[2] < exact + 0.01  # the mean of 200 is not yet the expectation
    assert bound == pytest.approx(found[0], abs=0.3) and found[2] == pytest.approx(exact, abs=0.03)


@pytest.mark.row(121)
def test_pixels_that_the_likelihood_does_not_know_are_refused() -> None:
    with pytest.raises(RagkitError, match="0 or 1"):
        elbo(vae(), torch.full((2, 5), 0.5, dtype=torch.float64))


@pytest.mark.row(121)
def test_independent_pixels_score_by_their_frequency() -> None:
    train = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert independent_pixels(train, train[:1]) == pytest.approx(2 * math.log(3 / 4))


@pytest.mark.row(122)
def test_draws_and_gradients_are_rsamples_and_the_surrogate_needs_none_of_f() -> None:
    mean, log_variance = (torch.randn(6, dtype=torch.float64, requires_grad=True) for _ in range(2))
    found = []
    for draw in (
        lambda: DiagonalNormal(mean, log_variance).sample(),
        lambda: TorchNormal(mean, (log_variance / 2).exp()).rsample(),
    ):
        torch.manual_seed(0)
        z = draw()
        found.append(torch.stack([z, *torch.autograd.grad(z.pow(3).sum(), (mean, log_variance))]))
    torch.testing.assert_close(found[0], found[1], atol=1e-12, rtol=0)
    q = DiagonalNormal(mean, log_variance)
    z = q.sample().detach()
    value = torch.tensor(2.0, dtype=torch.float64)
    (found_mean,) = torch.autograd.grad(score_function_surrogate(q, z, value), mean)
    torch.testing.assert_close(found_mean, (2 * (z - mean) / log_variance.exp()).detach())


@pytest.mark.row(123)
def test_ways_between_codes_have_their_ends_and_the_arc_keeps_its_radius() -> None:
    a, b = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0])
    for spherical in (False, True):
        way = interpolated(a, b, 5, spherical=spherical)
        torch.testing.assert_close(way[[0, -1]], torch.stack([a, b]))
        radius = way[2].norm().item()
        assert radius == pytest.approx(2 if spherical else 2**0.5)
    torch.testing.assert_close(interpolated(a, 2 * a, 3, spherical=True)[1], 1.5 * a)


@pytest.mark.row(123)
def test_the_vae_recipe_draws_samples_ways_and_the_latent_plane(tmp_path: Path) -> None:
    reached = (
        DigitsVae()
        .with_settings({"max_steps": "3", "latent": "2", "hidden": "8", "precision": "bf16"})
        .run(tmp_path)
    )
    assert reached["ELBO"] < reached["IWAE(500)"] < 0
    pictures = {"digits.png", "interpolation.png", "latent-plane.png", "manifold.png"}
    assert pictures <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.row(123)
def test_entropies_tell_sure_from_various() -> None:
    same = torch.zeros(4, 64)
    sure, various = class_entropies(same)
    assert sure == pytest.approx(various)


def test_densities_score_points_among_the_passages_above_points_elsewhere() -> None:
    torch.manual_seed(0)
    passages = nn.functional.normalize(torch.randn(300, 2) @ torch.randn(2, 16) + 0.5, dim=1)
    among, elsewhere = passages[:20] + 0.01, nn.functional.normalize(torch.randn(20, 16), dim=1)
    short = LoopSettings(learning_rate=1e-3, max_steps=60, precision="fp32", validate_every=60)
    scored = {
        "VAE's bound": vae_bound(passages, torch.cat([among, elsewhere]), short),
        "Gaussian": gaussian(passages, torch.cat([among, elsewhere])),
        "GAN's discriminator": discriminator(passages, torch.cat([among, elsewhere]), short),
    }
    for name in SCORES.keys() - scored.keys():
        scored[name] = SCORES[name](passages, torch.cat([among, elsewhere]))
    for name, score in scored.items():
        assert score.shape == (40,) and bool(score.isfinite().all()), name
        if name != "GAN's discriminator":  # which promises nothing where neither data nor fakes lie
            assert score[:20].mean() > score[20:].mean(), name
