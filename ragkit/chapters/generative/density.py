"""How like the vectors of an index another vector is, by models of their density. Integration 15.

A question that no passage answers may lie where no passage lies. Each function fits a density to the passages
and scores questions by it, higher where they are more like passages; `eval/abstention/novelty.py` measures
what that is worth beside the highest similarity.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from ragkit.chapters.generative.adversarial import AdversarialRecipe
from ragkit.chapters.tensors import TensorRecipe
from ragkit.models.basics.likelihoods.normal import Normal
from ragkit.models.basics.mlp import Mlp
from ragkit.models.generative.adversaries import turns
from ragkit.models.generative.elbo import elbo
from ragkit.models.generative.gan import Gan
from ragkit.models.generative.vae import Vae
from ragkit.training.loop import train
from ragkit.training.recipe import LoopSettings, Recipe

Score = Callable[[Tensor, Tensor], Tensor]
"""From passages (n, d) and questions (m, d) to a score of each question, (m,)."""

HIDDEN, LATENT, BATCH = 256, 32, 128
SEEDS = (0, 1, 2)
LOOP = LoopSettings(
    learning_rate=1e-3, max_steps=600, weight_decay=1e-4, precision="fp32", validate_every=600
)


def highest_similarity(passages: Tensor, questions: Tensor) -> Tensor:
    """To the nearest passage: the baseline."""
    return (questions @ passages.mT).max(dim=1).values


def nearest_ten(passages: Tensor, questions: Tensor) -> Tensor:
    """The mean similarity to the ten nearest passages: a nearest-neighbour density."""
    return (questions @ passages.mT).topk(min(10, len(passages)), dim=1).values.mean(dim=1)


def gaussian(passages: Tensor, questions: Tensor) -> Tensor:
    """-½ of the squared Mahalanobis distance, the covariance shrunk as Ledoit and Wolf 2004 do."""
    from sklearn.covariance import LedoitWolf

    fitted = LedoitWolf().fit(passages.double().numpy())
    return -torch.from_numpy(fitted.mahalanobis(questions.double().numpy())) / 2


def vae_bound(passages: Tensor, questions: Tensor, loop: LoopSettings = LOOP) -> Tensor:
    """The ELBO of a VAE of the passages (row 121), the mean of `SEEDS`."""
    size = passages.shape[1]

    def one(seed: int, known: Tensor, asked: Tensor) -> Tensor:
        model = Vae(Mlp([size, HIDDEN, 2 * LATENT]), Mlp([LATENT, HIDDEN, 2 * size]), LATENT, Normal())

        def loss(_: nn.Module, x: Tensor) -> Tensor:
            return -elbo(model, x).mean() / size

        recipe = TensorRecipe(
            model,
            (known,),
            loss,
            lambda model: {"loss": float(loss(model, known[:1000]))},
            batch_size=BATCH,
            seed=seed,
        )
        _trained(recipe, loop, seed)
        return elbo(model, asked, 20)

    return _over_seeds(one, passages, questions)


def discriminator(passages: Tensor, questions: Tensor, loop: LoopSettings = LOOP) -> Tensor:
    """The logit of D of a GAN of the passages (row 113), the mean of `SEEDS`."""
    size = passages.shape[1]

    def one(seed: int, known: Tensor, asked: Tensor) -> Tensor:
        model = Gan(Mlp([LATENT, HIDDEN, size], "leaky_relu"), Mlp([size, HIDDEN, 1], "leaky_relu"), LATENT)
        recipe = AdversarialRecipe(
            model,
            lambda count: known[torch.randint(len(known), (count,))],
            lambda model: {},
            turns=turns(1),
            batch_size=BATCH,
        )
        _trained(recipe, loop, seed)
        logits: Tensor = model.critic(asked)
        return logits[:, 0]

    return _over_seeds(one, passages, questions)


SCORES: dict[str, Score] = {
    "highest similarity": highest_similarity,
    "mean of the ten highest": nearest_ten,
    "Gaussian": gaussian,
    "VAE's bound": vae_bound,
    "GAN's discriminator": discriminator,
}


def _over_seeds(one: Callable[[int, Tensor, Tensor], Tensor], passages: Tensor, questions: Tensor) -> Tensor:
    """The mean score of models that differ by their seed, all on numbers standardised by the passages'."""
    mean, deviation = passages.mean(dim=0), passages.std(dim=0) + 1e-6
    known, asked = ((x.float() - mean) / deviation for x in (passages, questions))
    found: list[Tensor] = []
    for seed in SEEDS:
        torch.manual_seed(seed)
        found.append(one(seed, known, asked).detach().double())
    return torch.stack(found).mean(dim=0)


def _trained(recipe: Recipe, loop: LoopSettings, seed: int) -> None:
    with TemporaryDirectory() as folder:
        train(recipe, Path(folder), replace(loop, seed=seed))
    recipe.model.cpu().eval()
