"""Rows 68, 69: games on digits without labels, and what a probe finds in the encoder afterwards."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ragkit.chapters.data import Split
from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.picture import panels, save
from ragkit.chapters.selfsup.digits import VECTOR, DigitsEncoder, images, probe_accuracy, vectors
from ragkit.chapters.tensors import TensorRecipe
from ragkit.models.selfsup.pretext import ORDERS, TURNS, jigsaw, patch_mask, rotated
from ragkit.training.recipe import LoopSettings, Recipe

OUTPUTS = {"rotation": TURNS, "jigsaw": len(ORDERS), "patches": 64}
PATCH, HIDDEN = 2, 0.25
BLANK = -1.0
"""What stands in hidden pixels."""


@dataclass(frozen=True, kw_only=True)
class Pretext(Experiment):
    """rotation: which quarter turn? jigsaw: which of 24 orders? patches: what stood in the blank quarter?"""

    task: Literal["rotation", "jigsaw", "patches"] = "rotation"
    batch_size: int = 128
    loop: LoopSettings = LoopSettings(
        learning_rate=2e-3, max_steps=1500, precision="fp32", validate_every=500, log_every=50
    )

    def recipe(self) -> Recipe:
        data = images()

        def scores(model: nn.Module) -> dict[str, float]:
            generator = torch.Generator().manual_seed(0)
            shown, wanted = self.task_of(data.test_x, generator)
            output = model(shown)
            found = {"loss": float(self.loss(output, wanted))}
            if self.task != "patches":
                found["accuracy"] = (output.argmax(-1) == wanted).double().mean().item()
            return found

        def loss(model: nn.Module, x: Tensor) -> Tensor:
            shown, wanted = self.task_of(x)
            return self.loss(model(shown), wanted)

        model = nn.Sequential(DigitsEncoder(), nn.Linear(VECTOR, OUTPUTS[self.task]))
        return TensorRecipe(
            model, (data.train_x,), loss, scores, batch_size=self.batch_size, seed=self.loop.seed
        )

    def task_of(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """What the network is shown, and what it is to say: class numbers (batch,), or the hidden pixels and
        NaN elsewhere, (batch, 64)."""
        if self.task == "patches":
            mask = patch_mask(len(x), 8, 8, PATCH, HIDDEN, generator)
            return x.masked_fill(mask, BLANK), x.masked_fill(~mask, torch.nan).flatten(1)
        drawn = torch.randint(OUTPUTS[self.task], (len(x),), generator=generator)
        return (rotated if self.task == "rotation" else jigsaw)(x, drawn), drawn

    def loss(self, output: Tensor, wanted: Tensor) -> Tensor:
        if self.task == "patches":
            hidden = ~wanted.isnan()
            return functional.mse_loss(output[hidden], wanted[hidden])
        return functional.cross_entropy(output, wanted)

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        model, data = recipe.model, images()
        assert isinstance(model, nn.Sequential)
        torch.manual_seed(1000 + self.loop.seed)
        encoded = [probe_accuracy(*maps(e, data), data, self.loop.seed) for e in (model[0], DigitsEncoder())]
        found = {"probe": encoded[0], "probe as drawn": encoded[1]}
        if self.task == "patches":
            shown, wanted = self.task_of(data.test_x, torch.Generator().manual_seed(0))
            with torch.no_grad():
                output = model(shown)
            mean = data.train_x.mean(dim=0).flatten().expand_as(wanted)
            found["error / mean patch's"] = float(self.loss(output, wanted) / self.loss(mean, wanted))
            draw(shown, output, data.test_x, out / "patches.png")
        return found


def maps(encoder: nn.Module, data: Split) -> tuple[Tensor, Tensor]:
    """What `vectors` gives, the mean over the four places of each of the 64 maps: what is seen, not where."""
    train, test = (part.view(len(part), -1, 4).mean(dim=2) for part in vectors(encoder, data))
    return train, test


def draw(shown: Tensor, output: Tensor, images: Tensor, file: Path) -> None:
    """Eight digits, one a column: as shown, as filled in, as they are."""
    filled = torch.where(shown == BLANK, output.view_as(shown), shown)
    framed = [functional.pad(rows[:8, 0], (1, 1, 1, 1), value=1.0) for rows in (shown, filled, images)]
    picture = torch.cat([torch.cat(list(rows), dim=1) for rows in framed])
    figure, (axes,) = panels(width=6.0, height=2.6)
    axes.imshow(picture, cmap="gray", vmin=-1, vmax=1)
    axes.set(xticks=[], yticks=[4.5, 14.5, 24.5], yticklabels=["shown", "filled in", "whole"])
    save(figure, file)


def rotation() -> dict[str, float | list[float]]:
    """Row 68."""
    x = torch.rand(8, 1, 8, 8)
    turns = torch.arange(8) % TURNS
    error = max(
        float((rotated(x, turns)[i, 0] - x[i, 0].rot90(int(turns[i]))).abs().max()) for i in range(len(x))
    )
    reached = over_seeds(Pretext())
    gained = [100 * (a - b) for a, b in zip(reached["probe"], reached["probe as drawn"], strict=True)]
    return {"error": error, "rotations told": reached["accuracy"], "points over the encoder as drawn": gained}


def jigsaw_and_patches() -> dict[str, list[float]]:
    """Row 69."""
    puzzles = over_seeds(Pretext(task="jigsaw"))["accuracy"]
    return {
        "jigsaw / chance": [accuracy * len(ORDERS) for accuracy in puzzles],
        "patches: error / mean patch's": over_seeds(Pretext(task="patches"))["error / mean patch's"],
    }
