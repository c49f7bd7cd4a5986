"""Training on tensors held in memory: most models of the chapters need no more."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from ragkit.errors import RagkitError
from ragkit.models.basics.minibatches import minibatches
from ragkit.training.recipe import Recipe


class TensorRecipe(Recipe):
    """A model trained on rows of tensors, shuffled anew each epoch.

    Args:
        model: what is trained.
        data: tensors with one row an item, all of the same length.
        loss: from the model and a batch of each tensor to the scalar loss.
        scores: numbers on held-out data, called in evaluation mode; one of them is `best_metric`.

    Raises:
        RagkitError: if the tensors are of different lengths or empty, or hold a number that is not finite.
    """

    def __init__(
        self,
        model: nn.Module,
        data: Sequence[Tensor],
        loss: Callable[..., Tensor],
        scores: Callable[[nn.Module], dict[str, float]],
        *,
        batch_size: int,
        seed: int,
        best_metric: str = "loss",
    ) -> None:
        _check(data)
        self.model, self.data, self.best_metric = model, data, best_metric
        self._loss, self._scores, self._batch_size, self._seed = loss, scores, batch_size, seed

    def batches(self, epoch: int) -> Sequence[Tensor]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + epoch)
        return minibatches(len(self.data[0]), self._batch_size, generator)

    def step(self, model: nn.Module, batch: Tensor) -> Mapping[str, Tensor]:
        device = next(model.parameters()).device
        return {"loss": self._loss(model, *(tensor[batch].to(device) for tensor in self.data))}

    def validate(self, model: nn.Module) -> dict[str, float]:
        return self._scores(model)


def _check(data: Sequence[Tensor]) -> None:
    """One NaN among the data would make every weight NaN, and no loss says where it stood."""
    lengths = [len(tensor) for tensor in data]
    if len(set(lengths)) > 1 or not all(lengths):
        raise RagkitError(
            f"the tensors to train on have {', '.join(map(str, lengths))} rows: expected as many each"
        )
    for number, tensor in enumerate(data, 1):
        broken = (~torch.isfinite(tensor)).nonzero()
        if len(broken):
            row = int(broken[0, 0])
            raise RagkitError(
                f"tensor {number} to train on holds {tensor[tuple(broken[0])].item()} in row {row} "
                f"({len(broken[:, 0].unique()):,} of {len(tensor):,} rows are not finite): remove such rows"
            )
