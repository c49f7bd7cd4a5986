"""Measures of rows 59 and 60: the residual block, and batch norm against torch."""

import torch
from torch import Tensor, nn

from ragkit.chapters.vision.convolutions import apart, gap, normal
from ragkit.models.vision.batch_norm import BatchNorm
from ragkit.models.vision.residual_block import ResidualBlock
from ragkit.models.vision.residual_network import ResidualNetwork


def residual_block() -> dict[str, float]:
    """Row 59: values and gradients beside torch's layers; the identity; the unrolled sum of row 58."""
    torch.manual_seed(0)
    block, x = ResidualBlock(6).double(), normal(5, 6)
    f = nn.Sequential(nn.ReLU(), block.linears[0], nn.ReLU(), block.linears[1])
    still = ResidualBlock(6, zero_last=True).double()
    net = ResidualNetwork(4, 6, 3, 5).double()
    stream = net.stream(normal(5, 4))
    added = []
    for module, h in zip(net.blocks, stream, strict=False):
        assert isinstance(module, ResidualBlock)
        added.append(module.f(h))
    return {
        "error": apart(block, lambda h: h + f(h), (x,)),
        "zero-initialised block - identity": gap(still(x), x),
        "unrolled - sequential": gap(stream[0] + torch.stack(added).sum(dim=0), stream[-1]),
    }


def batch_norm() -> dict[str, float | list[float]]:
    """Row 60: ten steps of training beside torch in one and two dimensions, then evaluation."""
    torch.manual_seed(0)
    training, evaluation, running, mates = [], [], [], []
    for theirs, shape in ((nn.BatchNorm1d(4), (8, 4)), (nn.BatchNorm2d(4), (8, 4, 5, 3))):
        theirs, ours = theirs.double(), BatchNorm(4).double()
        with torch.no_grad():
            for mine, other in ((ours.scale, theirs.weight), (ours.shift, theirs.bias)):
                assert mine is not None
                mine.copy_(other.normal_())
        for _ in range(10):
            training.append(_both(ours, theirs, 3 * normal(*shape) + 2))
        for name in ("running_mean", "running_var"):
            running.append(gap(getattr(ours, name), getattr(theirs, name)))
        ours.eval()
        theirs.eval()
        x = normal(*shape)
        evaluation.append(_both(ours, theirs, x))
        mates.append(gap(ours(x)[:1], ours(x[:1])))
    plain, notes = normal(8, 4), BatchNorm(4, variant="notes").double()
    doubling, growth = zip(*(_variances(seed) for seed in range(3)), strict=True)
    return {
        "error in training": max(training),
        "running statistics": max(running),
        "error in evaluation": max(evaluation),
        "evaluation with and without batch mates": max(mates),
        "notes' form": gap(notes(plain), (plain - plain.mean(0)) / plain.std(0, correction=0)),
        "variance times, a block": list(doubling),
        "variance added, a normalised block": list(growth),
    }


def _both(ours: BatchNorm, theirs: nn.Module, x: Tensor) -> float:
    """Differences of outputs and of all gradients, after one pass of each."""
    found = []
    for norm in (ours, theirs):
        leaf = x.clone().requires_grad_()
        output = norm(leaf)
        found.append([output, *torch.autograd.grad((output**3).sum(), [leaf, *norm.parameters()])])
    return max(gap(a, b) for a, b in zip(*found, strict=True))


def _variances(seed: int, blocks: int = 10, width: int = 512) -> tuple[float, float]:
    """How the variance of the stream grows: by which factor a block, and with batch norm by how much."""
    torch.manual_seed(seed)
    x = torch.randn(256, width)
    with torch.no_grad():
        plain, normalised = (
            ResidualNetwork(width, width, 1, blocks, normalise=normalise, variant="notes").stream(x)
            for normalise in (False, True)
        )
    doubling = float((plain[-1].var() / plain[0].var()) ** (1 / blocks))
    return doubling, float((normalised[-1].var() - normalised[0].var()) / blocks)
