"""Digits by a variational autoencoder: its bounds, samples, and ways between codes. Rows 121, 123."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.generative.autoencoders import DigitsAutoencoder
from ragkit.chapters.generative.digits import PIXELS, binary_digits, class_entropies, draw_rows
from ragkit.chapters.picture import panels, save
from ragkit.chapters.tensors import TensorRecipe
from ragkit.models.basics.likelihoods.classes import Bernoulli
from ragkit.models.basics.likelihoods.normal import Normal
from ragkit.models.basics.mlp import Mlp
from ragkit.models.generative.elbo import elbo, kl_to_prior
from ragkit.models.generative.importance_weighted_bound import importance_weighted_bound
from ragkit.models.generative.interpolation import interpolated
from ragkit.models.generative.reparametrisation import DiagonalNormal
from ragkit.models.generative.vae import Vae
from ragkit.training.recipe import LoopSettings, Recipe

DRAWS = 500
SAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class DigitsVae(Experiment):
    """Binary digits; the bound and others of digits not seen, in nats a digit."""

    latent: int = 8
    hidden: int = 200
    batch_size: int = 64
    loop: LoopSettings = LoopSettings(
        learning_rate=2e-3, max_steps=2000, weight_decay=1e-4, precision="fp32", validate_every=500
    )

    def recipe(self) -> Recipe:
        data = binary_digits()
        model = Vae(
            Mlp([PIXELS, self.hidden, 2 * self.latent]),
            Mlp([self.latent, self.hidden, PIXELS]),
            self.latent,
            Bernoulli(),
        )

        def scores(_: nn.Module) -> dict[str, float]:
            torch.manual_seed(0)
            return {"loss": float(-elbo(model, data.test_x).mean())}

        return TensorRecipe(
            model,
            (data.train_x,),
            lambda _, x: -elbo(model, x).mean(),
            scores,
            batch_size=self.batch_size,
            seed=self.loop.seed,
        )

    @torch.no_grad()
    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        data, model = binary_digits(), recipe.model.cpu()
        assert isinstance(model, Vae)
        torch.manual_seed(0)
        bound = elbo(model, data.test_x, 50)
        closer = torch.cat([importance_weighted_bound(model, x, DRAWS) for x in data.test_x.split(100)])
        samples = probabilities(model, model.prior_codes(SAMPLES))
        self._draw(model, samples, out)
        sure, various = class_entropies(samples)
        return {
            "ELBO": float(bound.mean()),
            f"IWAE({DRAWS})": float(closer.mean()),
            "independent pixels": independent_pixels(data.train_x, data.test_x),
            "entropy of samples' classes": sure,
            "entropy of the mean": various,
        }

    def _draw(self, model: Vae, samples: Tensor, out: Path) -> None:
        data = binary_digits()
        codes = model.posterior(data.test_x)
        draw_rows(
            [data.test_x[:10], probabilities(model, codes.mean[:10]), samples[:10]],
            ["digits", "rebuilt", "from the prior"],
            out / "digits.png",
        )
        first, last = (codes.mean[data.test_y == digit][0] for digit in (0, 1))
        ways = [interpolated(first, last, 10, spherical=arc) for arc in (False, True)]
        draw_rows([probabilities(model, way) for way in ways], ["line", "arc"], out / "interpolation.png")
        plane(codes.mean, data.test_y, out / "latent-plane.png")
        if self.latent == 2:
            manifold(model, out / "manifold.png")


def probabilities(model: Vae, codes: Tensor) -> Tensor:
    """Of each pixel being on, (..., 64), for codes (..., latent)."""
    return model.decode(codes)[..., 0].sigmoid()


def independent_pixels(train: Tensor, test: Tensor) -> float:
    """The mean log-likelihood of test items where each pixel is on as often as in training, whatever the
    others are: who knows digits' shapes is above it. One count is added to on and to off."""
    on = (train.sum(dim=0) + 1) / (len(train) + 2)
    return float((test * on.log() + (1 - test) * (1 - on).log()).sum(dim=1).mean())


def plane(means: Tensor, labels: Tensor, file: Path) -> None:
    """The digits where q(z|x) is centred, on the first two principal components of all codes."""
    centred = means - means.mean(dim=0)
    x, y = (centred @ torch.linalg.svd(centred, full_matrices=False)[2][:2].mT).unbind(dim=1)
    figure, (axes,) = panels(width=5.0, height=4.5)
    axes.scatter(x, y, c=labels, cmap="tab10", s=6)
    axes.set(xlabel="first component of z", ylabel="second component of z")
    save(figure, file)


def manifold(model: Vae, file: Path, count: int = 12) -> None:
    """Digits over the plane of two codes, at evenly many quantiles of the prior."""
    quantiles = torch.special.ndtri((torch.arange(count) + 0.5) / count)
    codes = torch.stack(torch.meshgrid(quantiles, quantiles, indexing="xy"), dim=-1)
    images = probabilities(model, codes).view(count, count, 8, 8)
    figure, (axes,) = panels(width=5.0, height=5.0)
    axes.imshow(images.permute(0, 2, 1, 3).reshape(8 * count, 8 * count), cmap="gray_r")
    axes.set(xticks=[], yticks=[])
    save(figure, file)


def true_posterior_off() -> dict[str, float]:
    """The bounds where all is known: z ~ N(0, 1), x|z normal around a line in three dimensions.

    At the true posterior the importance weights are constant, and the bound is log p(x). At another q the
    ELBO falls short by KL(q ‖ posterior); E_q of what is quadratic in z is the mean over z = μ ± σ.
    """
    torch.manual_seed(0)
    sigma, line, centre = 0.7, torch.randn(3, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    precision = 1 + float(line @ line) / sigma**2
    encoder, decoder = nn.Linear(3, 2).double(), nn.Linear(1, 3).double()
    with torch.no_grad():
        decoder.weight.copy_(line[:, None])
        decoder.bias.copy_(centre)
        encoder.weight.copy_(torch.stack([line / sigma**2 / precision, torch.zeros_like(line)]))
        encoder.bias[0] = -(encoder.weight[0] @ centre)
        encoder.bias[1] = -math.log(precision)
    model = Vae(encoder, decoder, 1, Normal(sigma))
    x = torch.randn(20, 3, dtype=torch.float64)
    covariance = torch.outer(line, line) + sigma**2 * torch.eye(3, dtype=torch.float64)
    log_p = torch.distributions.MultivariateNormal(centre, covariance).log_prob(x)
    with torch.no_grad():
        tight = importance_weighted_bound(model, x, 3)
        q = DiagonalNormal(torch.randn(20, 1, dtype=torch.float64), torch.randn(20, 1, dtype=torch.float64))
        ends = torch.tensor([-1.0, 1.0], dtype=torch.float64)[:, None, None]
        bound = model.log_likelihood(x, q.sample(ends)).mean(dim=0) - kl_to_prior(q)
        normals = [torch.distributions.Normal(m, (v / 2).exp()) for m, v in (q, model.posterior(x))]
        gap = torch.distributions.kl_divergence(*normals).sum(dim=-1)
    return {
        "IWAE at the posterior - log p(x)": float((tight - log_p).abs().max()),
        "ELBO + KL(q‖posterior) - log p(x)": float((bound + gap - log_p).abs().max()),
    }


def bounds() -> dict[str, float | list[float]]:
    """Row 121."""
    torch.manual_seed(0)
    q = DiagonalNormal(torch.randn(5, 4, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64))
    theirs = torch.distributions.kl_divergence(
        torch.distributions.Normal(q.mean, (q.log_variance / 2).exp()),
        torch.distributions.Normal(torch.zeros_like(q.mean), torch.ones_like(q.mean)),
    ).sum(dim=-1)
    reached = over_seeds(DigitsVae())
    bound, closer, baseline = (reached[n] for n in ("ELBO", f"IWAE({DRAWS})", "independent pixels"))
    return {
        "KL - kl_divergence": float((kl_to_prior(q) - theirs).abs().max()),
        **true_posterior_off(),
        "IWAE(500) - ELBO": [b - a for a, b in zip(bound, closer, strict=True)],
        "ELBO - independent pixels": [a - b for a, b in zip(bound, baseline, strict=True)],
    }


def samples() -> dict[str, list[float]]:
    """Row 123: how sure a classifier is of digits from the prior, against decoded random codes of an
    autoencoder of the same size and digits: of N(0, I), and of the normal that fits its codes."""
    own = over_seeds(DigitsVae())
    theirs = over_seeds(DigitsAutoencoder(binary=True, code=DigitsVae.latent, hidden=DigitsVae.hidden))
    sure = own["entropy of samples' classes"]
    return {
        name: [a - b for a, b in zip(theirs[of], sure, strict=True)]
        for name, of in (
            ("nats surer than codes of N(0, I)", "entropy of N(0, I)'s classes"),
            ("nats surer than codes of the fitted normal", "entropy of the fitted normal's classes"),
        )
    } | {"entropy of the mean": own["entropy of the mean"]}
