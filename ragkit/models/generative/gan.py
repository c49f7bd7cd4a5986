"""GAN: min_G max_D V(D, G) = E_x log D(x) + E_z log(1 - D(G(z))). Row 113.

Goodfellow et al. 2014, equation 1. D is the critic's logit through σ, so that log D = log σ(l) and
log(1 - D) = log σ(-l) stay finite where D is rounded to 0 or 1. The notes say that a real x taken for a fake
makes "the loss explode to infinity": that term of V goes to -∞, which the discriminator *maximises*. They
also "guarantee" an equilibrium: it exists among all functions, where p_G = p and D = ½; gradient steps on the
weights of two networks need not get there, and circle or collapse (row 116).
"""

import math

from torch import Tensor, nn
from torch.nn import functional

from ragkit.models.generative.adversaries import Adversaries, frozen
from ragkit.models.generative.generator_loss import Objective, generator_loss


def value(real: Tensor, fake: Tensor) -> Tensor:
    """V, a scalar at most 0, from the logits of real items and of fakes, any shapes."""
    return functional.logsigmoid(real).mean() + functional.logsigmoid(-fake).mean()


class Gan(Adversaries):
    """`objective` is what the generator minimises: row 115."""

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        latent: int,
        objective: Objective = "non-saturating",
    ) -> None:
        super().__init__(generator, discriminator, latent)
        self.objective = objective

    def distance(self, real: Tensor) -> Tensor:
        """½ (V + log 4): at most the Jensen-Shannon divergence of data and fakes, as D* has it (row 114)."""
        return (math.log(4) - self.critic_loss(real)) / 2

    def critic_loss(self, real: Tensor) -> Tensor:
        """-V."""
        return -value(self.critic(real), self.critic(self.fakes(len(real)).detach()))

    def generator_loss(self, count: int) -> Tensor:
        return generator_loss(frozen(self.critic)(self.fakes(count)), self.objective)
