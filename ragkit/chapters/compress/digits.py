"""The network of the chapter, 64-300-100-10 on digits, and how its rounds are trained."""

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from ragkit.chapters.data import Split, digits
from ragkit.models.basics.minibatches import minibatches
from ragkit.models.basics.mlp import Mlp
from ragkit.models.compress.magnitude import Masks
from ragkit.models.compress.masked import keep_pruned

WIDTHS = (64, 300, 100, 10)
"""LeNet-300-100's, as Frankle and Carbin 2019 have it, for digits of 8x8 pixels."""
BATCH = 60
LEARNING_RATE = 1.2e-3
STEPS = 400
HELD_OUT = 257
"""Training digits that decide where pruning stops; 1,000 are left."""


@cache
def data() -> Split:
    return digits()


def network(seed: int) -> Mlp:
    torch.manual_seed(seed)
    return Mlp(WIDTHS)


def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return functional.cross_entropy(model(x), y)


def fit(
    model: nn.Module,
    masks: Masks | None = None,
    *,
    seed: int,
    steps: int = STEPS,
    held_out: int = 0,
    measure_every: int = 0,
) -> dict[int, float]:
    """Adam on the training digits but the last `held_out`; pruned weights stay 0.

    Returns the accuracy on the test digits after every `measure_every` steps, if that is asked for.
    """
    curve = {}
    x, y = (part[: len(part) - held_out] for part in (data().train_x, data().train_y))
    optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
    if masks is not None:
        keep_pruned(optimiser, model, masks)
    generator = torch.Generator().manual_seed(seed)
    batches: list[Tensor] = []
    model.train()
    for step in range(1, steps + 1):
        batches = batches or minibatches(len(x), BATCH, generator)
        batch = batches.pop()
        optimiser.zero_grad()
        loss(model, x[batch], y[batch]).backward()
        optimiser.step()
        if measure_every and step % measure_every == 0:
            curve[step] = accuracy(model)
    model.eval()
    return curve


@torch.no_grad()
def accuracy(model: nn.Module, held_out: bool = False) -> float:
    """On the test digits, or on those of the training that are held out."""
    split = data()
    x, y = (
        (split.train_x[-HELD_OUT:], split.train_y[-HELD_OUT:]) if held_out else (split.test_x, split.test_y)
    )
    return float((model(x).argmax(-1) == y).double().mean())
