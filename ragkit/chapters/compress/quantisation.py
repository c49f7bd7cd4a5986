"""Rows 148-150: fewer bits a number, after training and during it."""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ragkit.chapters.compress.digits import BATCH, accuracy, data, fit, loss, network
from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.picture import panels, save
from ragkit.chapters.tensors import TensorRecipe
from ragkit.models.basics.mlp import Mlp
from ragkit.models.compress import int4_storage, int8_storage
from ragkit.models.compress.affine import Grid, affine_grid, from_integers, symmetric_grid, to_integers
from ragkit.models.compress.fake_quantisation import fake_quantise
from ragkit.models.compress.half_precision import UNIT_ROUNDOFF, cast
from ragkit.models.compress.integer_network import IntegerNetwork
from ragkit.models.compress.quantisation_aware import QuantisedLinear, finish, prepare
from ragkit.training.recipe import LoopSettings, Recipe


@dataclass(frozen=True, kw_only=True)
class Quantised(Experiment):
    """Digits by 64-300-100-10, trained for 400 steps in floats, then on the grid of `bits` by the loop.

    `group`: weights that share a scale; 0: a row.
    """

    bits: int = 4
    group: int = 0
    loop: LoopSettings = LoopSettings(
        learning_rate=5e-4, max_steps=200, precision="fp32", validate_every=50, log_every=50
    )

    def recipe(self) -> Recipe:
        split = data()
        model = prepare(self.dense(), self.bits, self.group or None, inputs=True)
        calibrate(model)
        return TensorRecipe(
            model,
            (split.train_x, split.train_y),
            loss,
            lambda trained: {"accuracy": accuracy(trained)},
            batch_size=BATCH,
            seed=self.loop.seed,
            best_metric="accuracy",
        )

    def dense(self, steps: int = 400) -> Mlp:
        model = network(self.loop.seed)
        fit(model, seed=self.loop.seed, steps=steps)
        return model

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        """Beside it the dense network trained for as many steps, and that one rounded afterwards."""
        longer = self.dense(400 + (self.loop.max_steps or 0))
        rounded = prepare(deepcopy(longer), self.bits, self.group or None, inputs=True)
        calibrate(rounded)
        found = {"accuracy dense": accuracy(longer), "accuracy rounded afterwards": accuracy(rounded)}
        draw_grid(longer.get_parameter("layers.1.weight").detach()[0], self.bits, out / "grid.png")
        if not self.group:
            layers = [layer for layer in recipe.model.modules() if isinstance(layer, QuantisedLinear)]
            whole = IntegerNetwork(layers)
            with torch.no_grad():
                answers, fake = (m(data().test_x).argmax(-1) for m in (whole, recipe.model))
            found |= {
                "answers changed by integers": float((answers != fake).double().mean()),
                "tensors that are not integers": sum(
                    t.is_floating_point() for t in whole.state_dict().values()
                ),
            }
        return found


def calibrate(model: nn.Module) -> None:
    """Input ranges from the training digits, without a step."""
    model.train()
    with torch.no_grad():
        for batch in data().train_x.split(BATCH):
            model(batch)
    model.eval()


def draw_grid(row: Tensor, bits: int, file: Path) -> None:
    """Numbers before and after rounding, and a row's weights upon the grid."""
    figure, (steps, axes) = panels(2)
    grid = symmetric_grid(row[None], bits, 1)
    x = torch.linspace(1.3 * float(grid.least), 1.3 * float(grid.largest), 500)
    steps.plot(x, x, color="grey", linewidth=0.8)
    steps.plot(x, from_integers(to_integers(x, grid), grid).flatten())
    steps.set(title=f"{bits} bits", xlabel="x", ylabel="s q")
    axes.hist(row.numpy(), bins=60)
    for value in from_integers(torch.arange(grid.low, grid.high + 1), grid).flatten():
        axes.axvline(float(value), color="tab:orange", linewidth=0.6)
    axes.set(title="weights of a unit and their grid", xlabel="weight")
    save(figure, file)


def eight_bits() -> dict[str, float]:
    """Row 148: int8 rows against `torch.fake_quantize_per_channel_affine`, an affine range against
    `fake_quantize_per_tensor_affine`, the halves' errors against their unit roundoff."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(64, 100, generator=generator) * torch.logspace(-3, 2, 64)[:, None]
    values, scale = int8_storage.quantise(weight)
    steps = scale.float()
    ours = int8_storage.dequantise(values, scale)
    zeros = torch.zeros(64, dtype=torch.int32)
    theirs = torch.fake_quantize_per_channel_affine(weight, steps, zeros, 0, -127, 127)
    x = torch.randn(1000, generator=generator) + 0.7
    grid = affine_grid(x.min(), x.max())
    said = from_integers(to_integers(x, grid), grid)
    affine = torch.fake_quantize_per_tensor_affine(x, float(grid.scale), int(grid.zero), grid.low, grid.high)
    normal = weight[weight.abs() > 1e-4]
    halves = [
        float(((cast(normal, dtype).float() - normal) / normal).abs().max()) / roundoff
        for dtype, roundoff in UNIT_ROUNDOFF.items()
    ]
    return {
        "int8 off torch's, in steps": float(((ours - theirs).abs() / steps[:, None]).max()),
        "affine off torch's, in steps": float(((said - affine).abs() / grid.scale).max()),
        "int8 error in steps": float(((ours - weight).abs() / steps[:, None]).max()),
        "affine error in steps": float(((said - x).abs() / grid.scale).max()),
        "halves' error / unit roundoff": max(halves),
    }


def four_bits() -> dict[str, float]:
    """Row 149: the same of groups of 32; and what one scale a row would have cost."""
    weight = torch.randn(256, 512, generator=torch.Generator().manual_seed(0))
    weight[:, ::97] *= 8  # a few large weights a row, as transformers have
    stored = int4_storage.quantise(weight)
    ours = int4_storage.dequantise(stored)
    parts, steps = weight.reshape(-1, 32), stored.scale.float().flatten()
    zeros = torch.zeros(len(parts), dtype=torch.int32)
    theirs = torch.fake_quantize_per_channel_affine(parts, steps, zeros, 0, -7, 7).view_as(weight)
    by_row = int4_storage.dequantise(int4_storage.quantise(weight, group=512))
    return {
        "off torch's, in steps": float(((ours - theirs).abs().view_as(parts) / steps[:, None]).max()),
        "error in steps": float(((ours - weight).abs().view_as(parts) / steps[:, None]).max()),
        "bytes / float32's": stored.bytes / (4 * weight.numel()),
        "squared error of a row's scale / groups'": float(
            (by_row - weight).square().sum() / (ours - weight).square().sum()
        ),
    }


def straight_through() -> dict[str, float]:
    """Forward and backward against torch's own fake quantisation, numbers beyond the range among them."""
    x = torch.randn(8, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2
    ours, theirs = (x.clone().requires_grad_() for _ in range(2))
    grid = Grid(torch.tensor(0.125, dtype=torch.float64), torch.tensor(3.0, dtype=torch.float64), 0, 15)
    a = fake_quantise(ours, grid)
    b = torch.fake_quantize_per_tensor_affine(theirs, float(grid.scale), int(grid.zero), 0, 15)
    for found in (a, b):
        (found * found.detach().cos()).sum().backward()
    assert ours.grad is not None and theirs.grad is not None
    return {
        "forward off torch's": float((a - b).detach().abs().max()),
        "gradient off torch's": float((ours.grad - theirs.grad).abs().max()),
    }


def quantisation_aware() -> dict[str, float | list[float]]:
    """Row 150."""
    four, two = over_seeds(Quantised()), over_seeds(Quantised(bits=2))

    def gained(runs: dict[str, list[float]]) -> list[float]:
        pairs = zip(runs["accuracy"], runs["accuracy rounded afterwards"], strict=True)
        return [100 * (trained - rounded) for trained, rounded in pairs]

    model = prepare(network(0), 4, None, inputs=True)
    calibrate(model)
    with torch.no_grad():
        before = [layer.on_grid() for layer in model.modules() if isinstance(layer, QuantisedLinear)]
        after = [layer.weight.detach() for layer in finish(model).modules() if isinstance(layer, nn.Linear)]
    reached: dict[str, float | list[float]] = {
        "finished weights off the grid": max(
            float((a - b).abs().max()) for a, b in zip(before, after, strict=True)
        ),
        "points over rounding afterwards, 4 bits": gained(four),
        "points over rounding afterwards, 2 bits": gained(two),
        "answers changed by integers": four["answers changed by integers"],
        "tensors that are not integers": four["tensors that are not integers"],
    }
    return reached | straight_through()
