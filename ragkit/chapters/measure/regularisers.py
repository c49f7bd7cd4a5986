"""Rows 42, 43, 45: penalties, early stopping and dropout."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ragkit.chapters.tensors import TensorRecipe
from ragkit.models.basics.mlp import Mlp
from ragkit.models.measure.dropout import DropConnect, Dropout
from ragkit.models.measure.penalties import l2, lasso
from ragkit.training.loop import train
from ragkit.training.recipe import Event, LoopSettings, Recipe

DECAY = 0.02


def penalties() -> dict[str, float]:
    """Row 42: 100 steps from the same weights; L1 on 60 columns of which 6 matter."""
    from sklearn.linear_model import Lasso

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(80, 60, generator=generator, dtype=torch.float64)
    true = torch.zeros(60, dtype=torch.float64)
    true[::10] = torch.tensor([3.0, -2.0, 1.5, -1.0, 2.0, -3.0], dtype=torch.float64)
    y = x @ true + torch.randn(80, generator=generator, dtype=torch.float64)
    ours = lasso(x, y, 0.2)
    theirs = torch.as_tensor(
        Lasso(alpha=0.2, fit_intercept=False, tol=1e-12, max_iter=100_000).fit(x, y).coef_
    )

    def after(make: Callable[[Any], torch.optim.Optimizer], penalty: float) -> Tensor:
        weights = torch.full((60,), 0.5, dtype=torch.float64, requires_grad=True)
        optimiser = make([weights])
        for _ in range(100):
            optimiser.zero_grad()
            ((x @ weights - y).square().mean() + penalty * l2([weights])).backward()
            optimiser.step()
        return weights.detach()

    sgd = after(lambda p: torch.optim.SGD(p, lr=0.05), DECAY)
    decayed = after(lambda p: torch.optim.SGD(p, lr=0.05, weight_decay=2 * DECAY), 0.0)
    adam = after(lambda p: torch.optim.Adam(p, lr=0.05), DECAY)
    adam_w = after(lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=2 * DECAY), 0.0)
    return {
        "SGD with L2 - weight decay": float((sgd - decayed).abs().max()),
        "L1 - Lasso": float((ours - theirs).abs().max()),
        "zeros other than Lasso's": int(((ours == 0) != (theirs == 0)).sum()),
        "weights that are 0": int((ours == 0).sum()),
        "AdamW - Adam with L2": float((adam_w - adam).abs().max()),
    }


class Interrupted(Exception):
    """Stands for what ends a process in the middle of a run."""


STOPPING = LoopSettings(
    learning_rate=0.02, epochs=200, precision="fp32", validate_every=5, patience=3, weight_decay=0.0
)


def overfitting(seed: int) -> Recipe:
    """A wide network on 40 noisy items."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(2, 40, 1, generator=generator)
    y = torch.sin(6 * x) + 0.5 * torch.randn(x.shape, generator=generator)
    torch.manual_seed(seed)
    recipe = TensorRecipe(
        Mlp([1, 64, 64, 1]),
        (x[0], y[0]),
        lambda model, x, y: functional.mse_loss(model(x), y),
        lambda model: {"loss": float(functional.mse_loss(model(x[1]), y[1]))},
        batch_size=20,
        seed=seed,
    )
    recipe.checkpoint_every = 4
    return recipe


def early_stopping() -> dict[str, float]:
    """Row 43: what is restored, when it stops, and a run that breaks off and goes on."""
    restored, late, weights_off, losses_off = 0.0, [], 0.0, 0
    for seed in (0, 1, 2):
        with TemporaryDirectory() as folder:
            settings = replace(STOPPING, seed=seed)
            recipe = overfitting(seed)
            train(recipe, Path(folder) / "whole", settings)
            logged = losses(Path(folder) / "whole")
            with torch.no_grad():
                restored = max(restored, abs(recipe.validate(recipe.model)["loss"] - min(logged)))
            late.append(len(logged) - 1 - logged.index(min(logged)))

            broken = overfitting(seed)
            try:
                train(broken, Path(folder) / "broken", settings, break_off(after=10))
            except Interrupted:
                broken = overfitting(seed)  # a new process: nothing but the folder is left
                train(broken, Path(folder) / "broken", settings)
            pairs = zip(recipe.model.parameters(), broken.model.parameters(), strict=True)
            weights_off = max([weights_off, *(float((a - b).detach().abs().max()) for a, b in pairs)])
            resumed = losses(Path(folder) / "broken")
            losses_off += len(resumed) != len(logged) or resumed[-5:] != logged[-5:]
    return {
        "restored loss - best logged": restored,
        "validations after the best": sum(late) / len(late),
        "weights resumed - unbroken": weights_off,
        "losses resumed that differ": losses_off,
    }


def losses(folder: Path) -> list[float]:
    """The validation losses by step, of the last run where steps were taken twice."""
    events = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return list({e["step"]: e["loss"] for e in events if e["event"] == "validate"}.values())


def break_off(after: int) -> Callable[[Event], None]:
    def on_event(event: Event) -> None:
        if event["event"] == "validate" and event["step"] >= after:
            raise Interrupted

    return on_event


def dropout() -> dict[str, float]:
    """Row 45."""
    p, h = 0.3, torch.rand(400, 1000, dtype=torch.float64) + 0.5
    ours = Dropout(p)
    torch.manual_seed(0)
    dropped = ours(h)
    torch.manual_seed(0)
    theirs = functional.dropout(h, p)
    ours.eval()
    layer = DropConnect(1000, 300, p, variant="notes").double()
    one = torch.ones(1, 1000, dtype=torch.float64)
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)
    return {
        "error": float((dropped - theirs).abs().max()),
        "mean off": abs(float(dropped.mean() / h.mean()) - 1),
        "changed in evaluation": float((ours(h) - h).abs().max()),
        "mask rate off": abs(float((dropped == 0).double().mean()) - p),
        "DropConnect of the notes: mean - (1-p)": abs(float(layer(one).mean().detach()) / 1000 - (1 - p)),
    }
