"""A smaller model learns from the one that it came from: what that says of texts is the target, without
labels (Hinton, Vinyals and Dean 2015). A generator learns the probabilities of every token along the answers
that its teacher writes (Kim and Rush 2016)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ragkit.generation.generator import Tokens
from ragkit.models.compress.magnitude import Masks
from ragkit.models.compress.masked import keep_pruned
from ragkit.training.compression.subject import Example, Subject
from ragkit.training.recipe import Recipe


class DistilRecipe(Recipe):
    """`student.network` is trained towards `teacher`; pruned weights stay 0."""

    def __init__(
        self,
        student: Subject,
        teacher: Subject,
        examples: Sequence[Example],
        held_out: Sequence[Example],
        batch: int,
        seed: int,
        masks: Masks | None = None,
    ) -> None:
        self.model: nn.Module = student.network
        self._student, self._teacher, self._masks = student, teacher, masks
        self._examples, self._held_out, self._batch, self._seed = examples, held_out, batch, seed
        self._answers: dict[Example, Tokens] = {}
        # The target is exact: noise in the student would only hide what it still lacks.
        for module in student.network.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0

    def batches(self, epoch: int) -> Sequence[Tensor]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + epoch)
        return torch.randperm(len(self._examples), generator=generator).split(self._batch)

    def step(self, model: nn.Module, batch: Any) -> Mapping[str, Tensor]:
        return {"loss": self._distance([self._examples[i] for i in batch.tolist()])}

    def validate(self, model: nn.Module) -> dict[str, float]:
        parts = [self._held_out[at : at + self._batch] for at in range(0, len(self._held_out), self._batch)]
        return {"loss": sum(float(self._distance(part)) * len(part) for part in parts) / len(self._held_out)}

    def optimizer(self, groups: list[dict[str, Any]], learning_rate: float) -> torch.optim.Optimizer:
        optimiser = super().optimizer(groups, learning_rate)
        if self._masks is not None:
            keep_pruned(optimiser, self.model, self._masks)
        return optimiser

    def _distance(self, examples: Sequence[Example]) -> Tensor:
        with torch.no_grad():
            new = [example for example in examples if example not in self._answers]
            if new:
                self._answers |= dict(zip(new, self._teacher.answers(new), strict=True))
            answers = [self._answers[example] for example in examples]
            wanted = self._teacher.outputs(examples, answers)
        return self._student.distance(self._student.outputs(examples, answers), wanted)
