"""A linear map of vectors that keeps who is near whom.

    min_A  Σ_q KL( softmax_x(q·x / τ) ‖ softmax_x(Aq·Ax / (τ ‖Aq‖ ‖Ax‖)) )

over questions q and passages x near them, starting from the principal axes. Reconstruction, an
autoencoder's loss, spends its numbers on directions that no question asks about; here the question's
ranking is the target, and one linear layer suffices (ConAE, Liu et al. 2022; the loss is distillation as
in Hinton et al. 2015). Where the encoder scores by inner products the lengths stay in both. Integration
2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from ragkit.encoders.encoder import Vectors
from ragkit.errors import RagkitError
from ragkit.training.loop import train
from ragkit.training.recipe import LoopSettings, OnEvent, Recipe


@dataclass(frozen=True, slots=True)
class SimilaritySettings:
    """`size`: numbers a vector afterwards. A batch scores its `batch` questions against the `neighbours`
    nearest passages of each of them, all together."""

    size: int = 192
    temperature: float = 0.05
    neighbours: int = 16
    batch: int = 64
    loop: LoopSettings = field(
        default_factory=lambda: LoopSettings(
            learning_rate=1e-3, max_steps=400, weight_decay=0.0, precision="fp32", validate_every=400
        )
    )


def principal_axes(vectors: Vectors, size: int, centred: bool = False) -> npt.NDArray[np.float32]:
    """The `size` directions of largest second moment (or, `centred`, variance), (size, d)."""
    at = vectors - vectors.mean(axis=0) if centred else vectors
    _, axes = np.linalg.eigh(at.T.astype(np.float64) @ at)
    return np.ascontiguousarray(axes[:, ::-1][:, :size].T, dtype=np.float32)


def similarity_keeping(
    passages: Vectors,
    questions: Vectors,
    out: Path,
    settings: SimilaritySettings | None = None,
    *,
    cosine: bool = True,
    on_event: OnEvent | None = None,
) -> npt.NDArray[np.float32]:
    """A, (size, d), trained through the one loop in the folder `out`.

    Args:
        passages: (n, d).
        questions: (q, d): vectors like those that will be searched with, not the ones that will judge.

    Raises:
        RagkitError: if `size` is not below d, or there are no more passages than neighbours.
    """
    settings = settings or SimilaritySettings()
    dimension = passages.shape[1]
    if not 1 <= settings.size < dimension:
        raise RagkitError(f"vectors of {dimension} numbers cannot shrink to {settings.size}")
    if len(passages) <= settings.neighbours:
        raise RagkitError(
            f"{len(passages)} passages are too few to learn from: {settings.neighbours + 1} or more"
        )
    recipe = _SimilarityRecipe(passages, questions, settings, cosine)
    train(recipe, out, settings.loop, on_event, fingerprint=[len(passages), len(questions), settings.size])
    return recipe.model.weight.detach().cpu().numpy()


class _SimilarityRecipe(Recipe):
    model: nn.Linear

    def __init__(
        self, passages: Vectors, questions: Vectors, settings: SimilaritySettings, cosine: bool
    ) -> None:
        self._x, self._q = torch.from_numpy(passages), torch.from_numpy(questions)
        self._settings, self._cosine = settings, cosine
        self._near = torch.cat(
            [(part @ self._x.T).topk(settings.neighbours).indices for part in self._q.split(256)]
        )
        self.model = nn.Linear(passages.shape[1], settings.size, bias=False)
        with torch.no_grad():
            self.model.weight.copy_(torch.from_numpy(principal_axes(passages, settings.size)))

    def batches(self, epoch: int) -> Sequence[Tensor]:
        generator = torch.Generator().manual_seed(self._settings.loop.seed * 1_000_003 + epoch)
        return torch.randperm(len(self._q), generator=generator).split(self._settings.batch)

    def step(self, model: nn.Module, batch: Any) -> Mapping[str, Tensor]:
        questions, passages = self._q[batch], self._x[self._near[batch].flatten().unique()]
        wanted = questions @ passages.T
        small, stored = model(questions), model(passages)
        if self._cosine:
            small, stored = functional.normalize(small), functional.normalize(stored)
        temperature = self._settings.temperature
        found = (small @ stored.T / temperature).log_softmax(dim=1)
        loss = functional.kl_div(found, (wanted / temperature).softmax(dim=1), reduction="batchmean")
        return {"loss": loss}

    def validate(self, model: nn.Module) -> dict[str, float]:
        some = torch.arange(min(len(self._q), self._settings.batch))
        return {"loss": float(self.step(model, some)["loss"])}
