"""Descent on the Gabor model's loss surface, from a grid of starts at once. Rows 27, 28."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ragkit.chapters.experiment import Experiment
from ragkit.chapters.picture import panels, save
from ragkit.chapters.tensors import TensorRecipe
from ragkit.models.basics.adam import Adam
from ragkit.models.basics.gabor import TRUE, gabor, gabor_data, gabor_losses, starting_grid
from ragkit.models.basics.minibatches import minibatches, reduced
from ragkit.models.basics.mlp import Mlp
from ragkit.models.basics.momentum import Momentum
from ragkit.models.basics.nesterov import Nesterov
from ragkit.models.basics.optimiser import GradientDescent, Optimiser
from ragkit.models.basics.schedules import linear
from ragkit.training.recipe import LoopSettings, Recipe

ITEMS = 28
ARRIVED = 0.02
"""Mean squared error at which a descent has found the lowest valley: its floor is 0.011, that of the next
one 0.12."""

OPTIMISERS: dict[str, Callable[..., Optimiser]] = {
    "gd": GradientDescent,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "adam": Adam,
}


class Starts(nn.Module):
    """Models that are trained side by side, one from each start; none feels the others."""

    def __init__(self) -> None:
        super().__init__()
        self.phi = nn.Parameter(starting_grid())

    def forward(self, x: Tensor) -> Tensor:
        """Inputs (items,) to the outputs (starts, items)."""
        return gabor(x, self.phi)


class Descents(TensorRecipe):
    """Keeps the paths, for the picture."""

    def __init__(self, experiment: "GaborDescent") -> None:
        starts = Starts()
        super().__init__(
            starts,
            gabor_data(ITEMS),
            # The sum over the starts leaves each start the gradient of its own mean loss.
            lambda model, x, y: ((model(x) - y) ** 2).mean(dim=-1).sum(),
            lambda model: {"starts that arrive": float(arrived(starts.phi.cpu()).sum())},
            batch_size=experiment.batch_size,
            seed=experiment.loop.seed,
            best_metric="starts that arrive",
        )
        self.experiment, self.starts = experiment, starts
        self.path: list[Tensor] = []

    def step(self, model: nn.Module, batch: Tensor) -> dict[str, Tensor]:
        self.path.append(self.starts.phi.detach().cpu().clone())
        return dict(super().step(model, batch))

    def optimizer(self, groups: list[dict[str, Any]], learning_rate: float) -> torch.optim.Optimizer:
        return OPTIMISERS[self.experiment.optimiser](groups, lr=learning_rate)


@dataclass(frozen=True, kw_only=True)
class GaborDescent(Experiment):
    """From 81 starts; a batch of all 28 items is plain gradient descent, a smaller one stochastic."""

    optimiser: Literal["gd", "momentum", "nesterov", "adam"] = "gd"
    batch_size: int = 4
    loop: LoopSettings = LoopSettings(
        learning_rate=1.0,
        max_steps=1500,
        warm_up=0.0,
        weight_decay=0.0,
        max_gradient_norm=1e9,
        precision="fp32",
        validate_every=500,
        log_every=200,
    )

    def recipe(self) -> Recipe:
        return Descents(self)

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        assert isinstance(recipe, Descents)
        # A run that was stopped and resumed has only the end of its paths.
        if len(recipe.path) == self.loop.max_steps:
            draw(torch.stack(recipe.path), out / "paths.png")
        return {}


def losses(phi: Tensor) -> Tensor:
    """The mean squared error on all data, of parameters (..., 2)."""
    return gabor_losses(*gabor_data(ITEMS), phi).mean(dim=-1)


def arrived(phi: Tensor) -> Tensor:
    """Which of the parameters (..., 2) lie in the lowest valley."""
    return losses(phi) <= ARRIVED


def draw(path: Tensor, file: Path) -> None:
    """The surface with the paths (steps, starts, 2) of every fifth start, green where they arrive."""
    shift, stretch = torch.linspace(-12, 12, 120).double(), torch.linspace(0, 25, 120).double()
    surface = losses(torch.cartesian_prod(shift, stretch)).view(120, 120)
    figure, (axes,) = panels(width=7.0, height=5.5)
    filled = axes.contourf(shift, stretch, surface.T, levels=30, cmap="Greys")
    figure.colorbar(filled, label="mean squared error")
    for start in range(0, path.shape[1], 5):
        colour = "tab:green" if arrived(path[-1, start]) else "tab:red"
        axes.plot(*path[:, start].T, linewidth=1, color=colour)
        axes.plot(*path[0, start], ".", color="black", markersize=4)
    axes.plot(*TRUE, "*", color="tab:blue", markersize=12)
    axes.set(xlabel="φ₀", ylabel="φ₁", xlim=(-12, 12), ylim=(0, 25))
    save(figure, file)


def descend(batch_size: int, seed: int = 0, steps: int = 1500) -> Tensor:
    """Which starts arrive by gradient descent on batches of this size, the rate falling from 1 to 0."""
    x, y = gabor_data(ITEMS)
    generator = torch.Generator().manual_seed(seed)
    phi = starting_grid().requires_grad_()
    optimiser = GradientDescent([phi], lr=1.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, linear(steps))
    epochs = math.ceil(steps * batch_size / ITEMS)
    batches = itertools.chain.from_iterable(minibatches(ITEMS, batch_size, generator) for _ in range(epochs))
    for batch in itertools.islice(batches, steps):
        optimiser.zero_grad()
        gabor_losses(x[batch], y[batch], phi).mean(dim=-1).sum().backward()
        optimiser.step()
        scheduler.step()
    return arrived(phi.detach())


def gabor_landscape() -> dict[str, float]:
    """Row 27: the gradient by hand against autograd's, and full-batch descent from the grid."""
    x, _ = gabor_data(ITEMS)
    phi = starting_grid().requires_grad_()
    shift, stretch = torch.autograd.grad(gabor(x, phi).sum(), phi)[0].detach().T
    z = phi.detach()[:, :1] + 0.06 * phi.detach()[:, 1:] * x
    slope = (z.cos() - z.sin() * z / 16) * torch.exp(-(z**2) / 32)
    by_hand = (slope.sum(dim=1), (0.06 * x * slope).sum(dim=1))
    error = max((by_hand[0] - shift).abs().max().item(), (by_hand[1] - stretch).abs().max().item())
    return {"error": error, "starts that fail": float((~descend(ITEMS)).sum())}


def stochastic() -> dict[str, float | list[float]]:
    """Row 28: the batches, one by one beside torch's sampler, and what their noise does on the surface."""
    missed = 0
    for seed in range(20):
        rows = torch.cat(minibatches(ITEMS + seed, 5, torch.Generator().manual_seed(seed)))
        missed += rows.sort().values.tolist() != list(range(ITEMS + seed))
    squares = torch.arange(5.0, dtype=torch.float64, requires_grad=True)
    mean, total = (
        torch.autograd.grad(reduced(squares**2, variant), squares)[0] for variant in ("standard", "notes")
    )
    plain, noisy = descend(ITEMS), [descend(4, seed) for seed in range(3)]
    return {
        "epochs that miss or repeat an item": missed,
        "error": _apart_from_torch(),
        "sum's gradient - batch size × mean's": (total - 5 * mean).abs().max().item(),
        "starts that only noise brings home": [float((found & ~plain).sum()) for found in noisy],
        "starts that arrive": [float(found.sum()) for found in noisy],
    }


def _apart_from_torch() -> float:
    """The largest difference of a weight after three epochs to torch's SGD on torch's random batches."""
    from torch.utils.data import BatchSampler, RandomSampler

    torch.manual_seed(0)
    x, y = torch.randn(30, 4, dtype=torch.float64), torch.randn(30, 2, dtype=torch.float64)
    ours, theirs = Mlp([4, 8, 2]).double(), Mlp([4, 8, 2]).double()
    theirs.load_state_dict(ours.state_dict())
    first, second = (
        GradientDescent(ours.parameters(), lr=0.1),
        torch.optim.SGD(theirs.parameters(), lr=0.1),
    )
    for epoch in range(3):
        own, other = (torch.Generator().manual_seed(epoch) for _ in range(2))
        sampler = BatchSampler(RandomSampler(range(30), generator=other), 7, drop_last=False)
        for a, b in zip(minibatches(30, 7, own), sampler, strict=True):
            for net, optimiser, batch in ((ours, first, a), (theirs, second, torch.tensor(b))):
                optimiser.zero_grad()
                reduced((net(x[batch]) - y[batch]) ** 2).backward()
                optimiser.step()
    pairs = zip(ours.parameters(), theirs.parameters(), strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)
