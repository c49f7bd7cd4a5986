"""What the loop asks of a recipe, and what it is told and tells."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

Event = dict[str, Any]
OnEvent = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How a model is trained, whatever it is.

    The learning rate rises linearly over the first `warm_up` share of the steps to `learning_rate` and
    falls linearly to 0 at the last one. `epochs` may be a fraction; `max_steps` overrides it.
    `precision` "auto" is bf16 where the processor computes in it, else fp32. `patience` counts
    validations without a better score; 0 never stops early and keeps the last weights, which a rate that
    has fallen to 0 leaves better than a few hundred held-out questions can tell.
    """

    learning_rate: float = 1e-4
    epochs: float = 1.0
    max_steps: int | None = None
    warm_up: float = 0.05
    weight_decay: float = 0.01
    max_gradient_norm: float = 1.0
    accumulate: int = 1
    seed: int = 0
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    checkpoint_minutes: float = 5.0
    validate_every: int = 500
    patience: int = 0
    log_every: int = 20


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """Where the weights lie (`weights`, also loaded into the model) and how they scored."""

    weights: Path
    steps: int
    epochs: float
    scores: dict[str, float]
    stopped_early: bool


class Recipe(ABC):
    """A model, its batches and its loss. Everything random in it must follow from the seed it is given."""

    model: nn.Module
    """What is trained; parameters with `requires_grad=False` are left alone and not checkpointed."""

    best_metric: str = "loss"
    """The key of `validate`'s answer that is to be maximised (minimised if it is "loss")."""

    validates_first: bool = False
    """Whether the starting weights are validated, too."""

    checkpoint_every: int | None = None
    """Steps between checkpoints, besides those that `LoopSettings.checkpoint_minutes` asks for."""

    @abstractmethod
    def batches(self, epoch: int) -> Sequence[Any]:
        """The batches of an epoch in order: the same for the same epoch, whoever asks and when."""

    @abstractmethod
    def step(self, model: nn.Module, batch: Any) -> Mapping[str, Tensor]:
        """The scalar "loss" of a batch, and other scalars worth logging."""

    @abstractmethod
    def validate(self, model: nn.Module) -> dict[str, float]:
        """Scores on data held out; called in evaluation mode without gradients."""

    def before_step(self, step: int) -> None:  # noqa: B027, a hook: most recipes need none
        """Called before the step numbered `step`, from 0, and again where a run goes on at that step."""

    def optimizer(self, groups: list[dict[str, Any]], learning_rate: float) -> torch.optim.Optimizer:
        """What takes the steps; the loop sets each group's "lr" before every one of them."""
        return torch.optim.AdamW(groups, lr=learning_rate, fused=True)

    def learning_rate_scale(self, name: str) -> float:
        """What the learning rate of a parameter is multiplied with."""
        return 1.0
