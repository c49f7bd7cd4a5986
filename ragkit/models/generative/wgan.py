"""Wasserstein GAN: min_G max_f E_x f(x) - E_z f(G(z)) over 1-Lipschitz f. Row 118.

At its maximum the difference is the Wasserstein distance of data and fakes (row 117), which tells the
generator where to go however far it is. f is kept Lipschitz in one of two ways:

    weights clipped to [-c, c] after each update (Arjovsky et al. 2017, algorithm 1): K-Lipschitz, K unknown,
    or λ E (‖∇f(x̂)‖ - 1)² added, x̂ = εx + (1 - ε) G(z), ε ~ U(0, 1) (Gulrajani et al. 2017, equation 3).

The notes say "clamping gradients": it is the *weights* that are clamped, `variant="notes"`. The penalty is
the default: clipped critics are simple functions, on the scale of c to the power of the layers.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from ragkit.errors import RagkitError
from ragkit.models.generative.adversaries import Adversaries, frozen


class Wgan(Adversaries):
    """`penalty` is λ of the standard variant, `clip` is c of the notes'.

    Raises:
        RagkitError: if λ is negative, or c not positive.
    """

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        latent: int,
        variant: Literal["standard", "notes"] = "standard",
        penalty: float = 10.0,
        clip: float = 0.01,
    ) -> None:
        if not (penalty >= 0 and clip > 0):
            raise RagkitError(f"penalty {penalty}, clip {clip}: give 0 or more, and above 0")
        super().__init__(generator, critic, latent)
        self.variant, self.penalty, self.clip = variant, penalty, clip

    def distance(self, real: Tensor) -> Tensor:
        """E f(x) - E f(G(z)): the estimate of W, by a clipped critic a multiple of it."""
        return self._difference(real, self.fakes(len(real)).detach())

    def critic_loss(self, real: Tensor) -> Tensor:
        fake = self.fakes(len(real)).detach()
        loss = -self._difference(real, fake)
        if self.variant == "standard":
            loss = loss + self.penalty * gradient_penalty(self.critic, real, fake)
        return loss

    def _difference(self, real: Tensor, fake: Tensor) -> Tensor:
        return self.critic(real).mean() - self.critic(fake).mean()

    def generator_loss(self, count: int) -> Tensor:
        return -frozen(self.critic)(self.fakes(count)).mean()

    @torch.no_grad()
    def project(self) -> None:
        if self.variant == "notes":
            for parameter in self.critic.parameters():
                parameter.clamp_(-self.clip, self.clip)


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """E (‖∇f(x̂)‖ - 1)², a scalar, between each real item and a fake, (batch, ...) each."""
    weight = torch.rand(len(real), *[1] * (real.ndim - 1), dtype=real.dtype, device=real.device)
    between = (weight * real + (1 - weight) * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()
