"""A shallow network on one input, drawn with the linear pieces it is made of. Rows 1, 5."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from ragkit.chapters.experiment import Experiment
from ragkit.chapters.picture import panels, save
from ragkit.chapters.tensors import TensorRecipe
from ragkit.models.basics.regions import breakpoints, most_regions
from ragkit.models.basics.shallow import ShallowNetwork
from ragkit.training.recipe import LoopSettings, Recipe


def wave(x: Tensor) -> Tensor:
    return torch.sin(2 * torch.pi * x) * torch.exp(-x / 2)


@dataclass(frozen=True, kw_only=True)
class Pieces(Experiment):
    """`units` hidden units fitted to a damped wave on [-1, 1]."""

    units: int = 30
    items: int = 200
    batch_size: int = 50
    loop: LoopSettings = LoopSettings(
        learning_rate=0.02, max_steps=3000, weight_decay=0.0, precision="fp32", validate_every=1000
    )

    def recipe(self) -> Recipe:
        x = torch.linspace(-1, 1, self.items)[:, None]
        return TensorRecipe(
            ShallowNetwork(1, self.units, 1),
            (x, wave(x)),
            lambda model, x, y: functional.mse_loss(model(x), y),
            lambda model: {"loss": float(functional.mse_loss(model(x), wave(x)))},
            batch_size=self.batch_size,
            seed=self.loop.seed,
        )

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        net = recipe.model
        assert isinstance(net, ShallowNetwork)
        bends = breakpoints(net)
        inside = bends[bends.abs() < 1].tolist()
        x = torch.linspace(-1, 1, 1001)[:, None]
        with torch.no_grad():
            y = net(x)
        figure, (axes,) = panels(width=6.5)
        for bend in inside:
            axes.axvline(bend, color="0.85", linewidth=1)
        axes.plot(x, wave(x), color="0.5", label="function")
        axes.plot(x, y, label=f"{self.units} units, {len(inside) + 1} pieces")
        axes.legend()
        save(figure, out / "pieces.png")
        return {"pieces": len(inside) + 1, "at most": most_regions(self.units, 1)}
