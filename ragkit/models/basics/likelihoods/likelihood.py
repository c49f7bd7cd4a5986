"""Maximum likelihood: φ̂ = argmin_φ -Σ_i log Pr(y_i | θ_i = f[x_i, φ]). Rows 11, 25.

Inference: ŷ = argmax_y Pr(y | f[x, φ]), the mode, or the whole distribution.

The notes' recipe prints Pr(y_i, f[x_i, φ]), a joint, where the conditional is meant, and once Pr(y_i |
φ_i), where it is θ_i: φ are the weights of the network, θ_i the parameters of the distribution that it
outputs for x_i.

A network outputs any real numbers; the *link* turns them into parameters that the distribution allows.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from ragkit.errors import RagkitError

Parameters = dict[str, Tensor]
FLOOR = 1e-6
"""Least value of a parameter that must be positive: keeps log and division finite."""


def positive(raw: Tensor) -> Tensor:
    """The softplus link: log(1 + e^raw), a little above 0."""
    return functional.softplus(raw) + FLOOR


class Likelihood(ABC):
    """A distribution Pr(y | θ) with θ = link(what the network outputs).

    `outputs` numbers describe one label; shapes are (..., outputs) for what the network outputs and
    (..., *event) for labels, with `event` () for a single number and (K,) for a vector or a ranking.
    """

    domain: ClassVar[str]
    """Which labels there are, in words."""
    outputs: int
    event: tuple[int, ...] = ()

    @abstractmethod
    def link(self, output: Tensor) -> Parameters:
        """The parameters by name."""

    def nll(self, output: Tensor, y: Tensor) -> Tensor:
        """-log Pr(y | link(output)), (...,): in nats, with all constants.

        Raises:
            RagkitError: if the shapes do not fit, or a label is NaN or outside the domain.
        """
        self._check_output(output)
        if y.shape != output.shape[:-1] + self.event:
            wanted = tuple(output.shape[:-1] + self.event)
            raise RagkitError(f"{type(self).__name__}: labels {wanted} expected, got {tuple(y.shape)}")
        outside = ~(self._contains(y) & torch.isfinite(y))
        if outside.any():
            value = y[outside][0].item()
            raise RagkitError(f"{type(self).__name__}: expects {self.domain}, but a label is {value:g}")
        return self._nll(self.link(output), y)

    def mode(self, output: Tensor) -> Tensor:
        """The most probable label, (..., *event): what to answer if one answer is wanted."""
        self._check_output(output)
        return self._mode(self.link(output))

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One random label for each output, (..., *event)."""
        self._check_output(output)
        return self._sample(self.link(output), generator)

    def _check_output(self, output: Tensor) -> None:
        if output.shape[-1:] != (self.outputs,):
            raise RagkitError(
                f"{type(self).__name__}: the network must output (..., {self.outputs}), "
                f"this is {tuple(output.shape)}"
            )

    @abstractmethod
    def _contains(self, y: Tensor) -> Tensor:
        """Which labels are in the domain: a boolean tensor that broadcasts to y."""

    @abstractmethod
    def _nll(self, theta: Parameters, y: Tensor) -> Tensor: ...

    @abstractmethod
    def _mode(self, theta: Parameters) -> Tensor: ...

    @abstractmethod
    def _sample(self, theta: Parameters, generator: torch.Generator | None) -> Tensor: ...


class RealLikelihood(Likelihood):
    """Any finite number may be a label."""

    domain = "finite numbers"

    def _contains(self, y: Tensor) -> Tensor:
        return torch.ones_like(y, dtype=torch.bool)


def normal_like(parameter: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal numbers of the parameter's shape and type."""
    return torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype, device=parameter.device)


def uniform_like(parameter: Tensor, generator: torch.Generator | None) -> Tensor:
    """Uniform numbers in (0, 1): both ends open, so that their logarithms are finite."""
    drawn = torch.rand(parameter.shape, generator=generator, dtype=parameter.dtype, device=parameter.device)
    eps = torch.finfo(parameter.dtype).eps
    return drawn.clamp(eps, 1 - eps)


def gamma_like(shape: Tensor, generator: torch.Generator | None) -> Tensor:
    """Gamma numbers with these shape parameters and rate 1."""
    return torch._standard_gamma(shape, generator=generator)
