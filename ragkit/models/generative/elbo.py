"""Evidence lower bound: log p(x) >= E_q log p(x|z) - KL(q(z|x) ‖ p(z)), the prior. Row 121.

The gap is KL(q(z|x) ‖ p(z|x)), to the *posterior*: the notes' loss -log p(x) + KL(q ‖ p(z|x)) equals -ELBO,
but neither of its terms can be computed; only the form above can. Their θ* = argmax Σ p(x_i) is to be
Π p(x_i) or Σ log p(x_i).
"""

from torch import Tensor

from ragkit.models.generative.reparametrisation import DiagonalNormal
from ragkit.models.generative.vae import Vae


def kl_to_prior(q: DiagonalNormal) -> Tensor:
    """KL(q ‖ N(0, I)) = ½ Σ (μ² + σ² - log σ² - 1), (...,), in closed form."""
    terms = q.mean.square() + q.log_variance.exp() - q.log_variance - 1
    return terms.sum(dim=-1) / 2


def elbo(vae: Vae, x: Tensor, samples: int = 1) -> Tensor:
    """The bound of each item, (batch,), in nats; E_q by the mean over `samples` draws, with gradients."""
    q = vae.posterior(x)
    draws = DiagonalNormal(*(part.expand(samples, *part.shape) for part in q)).sample()
    return vae.log_likelihood(x, draws).mean(dim=0) - kl_to_prior(q)
