"""Rows 70-72, 74: SimCLR, BYOL and Barlow Twins on digits, and what is fine-tuned from them."""

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.selfsup.digits import (
    VECTOR,
    DigitsEncoder,
    few_labels,
    images,
    probe_accuracy,
    vectors,
    view,
)
from ragkit.chapters.tensors import TensorRecipe
from ragkit.errors import RagkitError
from ragkit.models.selfsup.barlow_twins import barlow_twins_loss, cross_correlation
from ragkit.models.selfsup.byol import Byol
from ragkit.models.selfsup.sim_clr import nt_xent
from ragkit.training.recipe import LoopSettings, Recipe

HIDDEN, SIZE = 128, 32


def mlp(inputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, SIZE)
    )


class Projected(nn.Module):
    """An encoder, and the projector whose output the loss sees; only the encoder is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.projector = DigitsEncoder(), mlp(VECTOR)

    def forward(self, images: Tensor) -> Tensor:
        projected: Tensor = self.projector(self.encoder(images))
        return projected


class ByolRecipe(TensorRecipe):
    """The target follows after every step."""

    def before_step(self, step: int) -> None:
        if step and isinstance(self.model, Byol):
            self.model.follow()


@dataclass(frozen=True, kw_only=True)
class SelfSupervised(Experiment):
    """Learns from two views of each digit, no labels. `predictor` and `decay` are BYOL's."""

    method: Literal["simclr", "byol", "barlow-twins"] = "simclr"
    temperature: float = 0.5
    off_diagonal: float = 0.1
    predictor: bool = True
    decay: float = 0.97
    batch_size: int = 128
    loop: LoopSettings = LoopSettings(
        learning_rate=2e-3,
        max_steps=500,
        precision="fp32",
        validate_every=250,
        log_every=50,
        weight_decay=1e-4,
    )

    def recipe(self) -> Recipe:
        data = images()
        model: nn.Module = Projected()
        if self.method == "byol":
            model = Byol(model, mlp(SIZE) if self.predictor else nn.Identity(), self.decay)

        def loss(model: nn.Module, x: Tensor) -> Tensor:
            first, second = view(x), view(x)
            if self.method == "byol":
                value: Tensor = model(first, second)
                return value
            a, b = model(first), model(second)
            return (
                nt_xent(a, b, self.temperature)
                if self.method == "simclr"
                else barlow_twins_loss(a, b, self.off_diagonal)
            )

        def scores(model: nn.Module) -> dict[str, float]:
            torch.manual_seed(0)
            return {"loss": float(loss(model, data.test_x))}

        make = ByolRecipe if self.method == "byol" else TensorRecipe
        return make(model, (data.train_x,), loss, scores, batch_size=self.batch_size, seed=self.loop.seed)

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        data, projected = images(), projected_of(recipe.model)
        encoded = probe_accuracy(*vectors(projected.encoder, data), data, self.loop.seed)
        pixels = probe_accuracy(data.train_x.flatten(1), data.test_x.flatten(1), data, self.loop.seed)
        with torch.no_grad():
            generator = torch.Generator().manual_seed(0)
            a, b = (projected(view(data.test_x, generator=generator)) for _ in range(2))
        off = cross_correlation(a, b)
        diagonal = off.diagonal().clone()
        spread = functional.normalize(a).std(dim=0).mean() * SIZE**0.5
        return {
            "probe": encoded,
            "probe of pixels": pixels,
            "spread": float(spread),
            "correlation with itself": float(diagonal.mean()),
            "correlation with others": float(off.fill_diagonal_(0).abs().sum() / (SIZE * (SIZE - 1))),
        }


def projected_of(model: nn.Module) -> Projected:
    found = model.online if isinstance(model, Byol) else model
    assert isinstance(found, Projected)
    return found


@dataclass(frozen=True, kw_only=True)
class FineTuned(Experiment):
    """Digits from `labels` labels. The encoder begins as drawn, or with the `weights` of a simclr run."""

    weights: str = ""
    labels: int = 100
    batch_size: int = 50
    loop: LoopSettings = LoopSettings(
        learning_rate=1e-3, max_steps=200, precision="fp32", validate_every=200, log_every=50
    )

    def recipe(self) -> Recipe:
        data, encoder = images(), DigitsEncoder()
        if self.weights:
            load_encoder(encoder, Path(self.weights))
        chosen = few_labels(data.train_y, self.labels, self.loop.seed)

        def accuracy(model: nn.Module) -> dict[str, float]:
            right = model(data.test_x).argmax(-1) == data.test_y
            return {"accuracy": right.double().mean().item()}

        return TensorRecipe(
            nn.Sequential(encoder, nn.Linear(VECTOR, 10)),
            (data.train_x[chosen], data.train_y[chosen]),
            lambda model, x, y: functional.cross_entropy(model(view(x, 0.5)), y),
            accuracy,
            batch_size=self.batch_size,
            seed=self.loop.seed,
            best_metric="accuracy",
        )


def load_encoder(encoder: DigitsEncoder, weights: Path) -> None:
    """Copies the encoder out of a run's weights.safetensors.

    Raises:
        RagkitError: if there is none in the file.
    """
    try:
        saved = load_file(weights)
        own = {name.removeprefix("encoder."): t for name, t in saved.items() if name.startswith("encoder.")}
        encoder.load_state_dict(own)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise RagkitError(f"{weights}: no weights of a digits encoder: give those of a simclr run") from error


def simclr() -> dict[str, float | list[float]]:
    """Row 70; the formula once more in loops."""
    a, b = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).unbind()
    z = torch.cat([a, b]).numpy()
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    terms = []
    for i in range(12):
        scores = np.exp([z[i] @ z[k] / 0.3 for k in range(12) if k != i])
        terms.append(-np.log(np.exp(z[i] @ z[(i + 6) % 12] / 0.3) / scores.sum()))
    reached = over_seeds(SelfSupervised())
    gained = [100 * (x - y) for x, y in zip(reached["probe"], reached["probe of pixels"], strict=True)]
    return {"error": abs(float(nt_xent(a, b, 0.3)) - float(np.mean(terms))), "points over pixels": gained}


def byol() -> dict[str, float | list[float]]:
    """Row 71."""
    torch.manual_seed(0)
    online, predictor = nn.Linear(4, 3).double(), nn.Linear(3, 3).double()
    model = Byol(online, predictor, decay=0.9)
    target = model.target
    assert isinstance(target, nn.Linear)
    x, y = torch.randn(2, 10, 4, dtype=torch.float64).unbind()
    value = model(x, y)
    value.backward()
    by_hand = 0.0
    for seen, aim in ((x, y), (y, x)):
        p, z = predictor(online(seen)).detach().numpy(), target(aim).detach().numpy()
        cosine = (p * z).sum(1) / np.linalg.norm(p, axis=1) / np.linalg.norm(z, axis=1)
        by_hand += float((2 - 2 * cosine).mean())
    with torch.no_grad():
        online.weight.add_(1.0)
    wanted = 0.9 * target.weight.detach() + 0.1 * online.weight.detach()
    model.follow()
    spread = over_seeds(SelfSupervised(method="byol"))
    collapsed = over_seeds(SelfSupervised(method="byol", predictor=False, decay=0.0))
    return {
        "error": max(abs(value.item() - by_hand), (target.weight.detach() - wanted).abs().max().item()),
        "gradients at the target": sum(p.grad is not None for p in target.parameters()),
        "std of vectors x √d": spread["spread"],
        "the same without predictor and average": collapsed["spread"],
    }


def barlow_twins() -> dict[str, float | list[float]]:
    """Row 72."""
    a, b = torch.randn(2, 50, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64).unbind()
    x, y = ((v - v.mean(0)) / v.std(0) for v in (a.numpy(), b.numpy()))
    c = x.T @ y / 50
    off = c - np.diag(np.diag(c))
    by_hand = ((1 - np.diag(c)) ** 2).sum() + 0.01 * (off**2).sum()
    longer = replace(SelfSupervised.loop, max_steps=1000)
    reached = over_seeds(SelfSupervised(method="barlow-twins", batch_size=256, loop=longer))
    return {
        "error": abs(float(barlow_twins_loss(a, b, 0.01)) - by_hand),
        "on the diagonal": reached["correlation with itself"],
        "off the diagonal": reached["correlation with others"],
    }


def fine_tuning() -> dict[str, list[float]]:
    """Row 74: 100 labels."""
    gained = []
    for seed in (0, 1, 2):
        with TemporaryDirectory() as folder:
            SelfSupervised().with_seed(seed).run(Path(folder) / "simclr")
            started = FineTuned(weights=str(Path(folder) / "simclr" / "weights.safetensors"))
            with_it = started.with_seed(seed).run(Path(folder) / "with")["accuracy"]
            without = FineTuned().with_seed(seed).run(Path(folder) / "without")["accuracy"]
            gained.append(100 * (with_it - without))
    return {"points over the encoder as drawn": gained}
