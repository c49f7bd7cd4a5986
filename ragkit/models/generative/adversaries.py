"""Two players in turns: G makes x from noise z ~ N(0, I), a critic compares it with the data. Row 113.

    for each iteration:  k times  φ ← φ - α ∂L_critic/∂φ     with G as it is
                         once     θ ← θ - α ∂L_generator/∂θ  with the critic as it is

Algorithm 1 of Goodfellow et al. 2014. What the losses are tells a GAN (row 113) from a Wasserstein GAN (118).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ragkit.errors import RagkitError

Turn = Literal["critic", "generator"]


class Adversaries(nn.Module, ABC):
    """A generator from noise (batch, latent) to items (batch, ...), a critic of items, to (batch, 1)."""

    def __init__(self, generator: nn.Module, critic: nn.Module, latent: int) -> None:
        super().__init__()
        self.generator, self.critic, self.latent = generator, critic, latent

    def fakes(self, count: int) -> Tensor:
        """`count` items from fresh noise, with the generator's gradient."""
        like = next(self.critic.parameters())
        made: Tensor = self.generator(torch.randn(count, self.latent, dtype=like.dtype, device=like.device))
        return made

    @abstractmethod
    def distance(self, real: Tensor) -> Tensor:
        """How far apart the critic finds items (batch, ...) and as many fakes: a scalar."""

    @abstractmethod
    def critic_loss(self, real: Tensor) -> Tensor:
        """A scalar whose gradient reaches the critic alone, of items (batch, ...) and as many fakes."""

    @abstractmethod
    def generator_loss(self, count: int) -> Tensor:
        """A scalar whose gradient reaches the generator alone, of `count` fakes."""

    def project(self) -> None:
        """Called after each update: puts the critic back among those that are allowed."""


def turns(critic_steps: int) -> list[Turn]:
    """Whose the updates of one iteration are: k of the critic, then one of the generator.

    Raises:
        RagkitError: if k is below 1.
    """
    if critic_steps < 1:
        raise RagkitError(f"{critic_steps} steps of the critic an iteration: give 1 or more")
    critic: list[Turn] = ["critic"]
    return [*critic * critic_steps, "generator"]


def frozen(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """The network as a function of its input alone: gradients pass through, none reaches its weights."""
    fixed = {name: parameter.detach() for name, parameter in network.named_parameters()}

    def apply(x: Tensor) -> Tensor:
        output: Tensor = functional_call(network, fixed, (x,))
        return output

    return apply
