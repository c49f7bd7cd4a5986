"""Measures of rows 1-7 and 9: activations and networks against torch, counts against formulas."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from ragkit.models.basics import activations
from ragkit.models.basics.approximation import interpolant
from ragkit.models.basics.mlp import Mlp, parameter_count
from ragkit.models.basics.regions import breakpoints, most_regions, regions_of_the_plane
from ragkit.models.basics.shallow import ShallowNetwork


def shallow_net() -> dict[str, float]:
    """Row 1."""
    counts = [abs(_size(ShallowNetwork(1, units, 1)) - (3 * units + 1)) for units in range(1, 33)]
    return {"parameters off by": max(counts), "error": _shallow_error(1, 3, 1)}


def relu() -> dict[str, float]:
    """Row 2."""
    return {"error": _error(activations.relu, functional.relu)}


def sigmoid_and_tanh() -> dict[str, float]:
    """Row 3."""
    z = _points()
    identity = (activations.tanh(z) - (2 * activations.sigmoid(2 * z) - 1)).abs().max().item()
    error = max(_error(activations.sigmoid, torch.sigmoid), _error(activations.tanh, torch.tanh))
    return {"error": error, "tanh z - (2σ(2z) - 1)": identity}


def leaky_relus() -> dict[str, float | list[float]]:
    """Row 4: besides parity, a PReLU that starts at slope 1 is fitted to y = PReLU_0.25(x) without noise."""
    theirs = nn.PReLU(init=0.25).double()
    error = max(
        _error(lambda z: activations.leaky_relu(z, 0.1), lambda z: functional.leaky_relu(z, 0.1)),
        _error(activations.PReLU(0.25).double(), theirs),
    )
    slopes = []
    for seed in range(3):
        x = torch.randn(256, generator=torch.Generator().manual_seed(seed))
        model = activations.PReLU(1.0)
        optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
        for _ in range(100):
            optimiser.zero_grad()
            ((model(x) - activations.leaky_relu(x, 0.25)) ** 2).mean().backward()
            optimiser.step()
        slopes.append(model.slope.item())
    return {"error": error, "slope": slopes}


def linear_regions() -> dict[str, float]:
    """Row 5: exact breakpoints against changes of slope on a grid, cells of the plane against the bound."""
    above, differing, plane = 0, 0, 0
    for seed in range(100):
        torch.manual_seed(seed)
        units = 2 + seed % 9
        net = ShallowNetwork(1, units, 1).double()
        points = breakpoints(net)
        above += len(points) + 1 > most_regions(units, 1)
        inside = int(((points > -4) & (points < 4)).sum())
        differing += _bends_on_grid(net, -4, 4, 2**15) != inside
        flat = ShallowNetwork(2, units, 1).double()
        plane += regions_of_the_plane(flat) != most_regions(units, 2)
    return {
        "nets above the bound": above,
        "nets whose grid count differs": differing,
        "planes off Zaslavsky's count": plane,
    }


def universal_approximation() -> dict[str, float]:
    """Row 6: the least factor by which doubling the units of the interpolant cuts the error of sin(2πx)."""
    x = torch.linspace(0, 1, 20_001, dtype=torch.float64)[:, None]
    errors = []
    for units in (8, 16, 32, 64, 128):
        net = interpolant(lambda t: torch.sin(2 * torch.pi * t), units)
        errors.append((net(x) - torch.sin(2 * torch.pi * x)).abs().max().item())
    return {"least cut": min(coarse / fine for coarse, fine in pairwise(errors))}


def multivariate() -> dict[str, float]:
    """Row 7: also the gradient at the hidden units, which is the sum of what the two outputs send back."""
    off = [
        abs(_size(ShallowNetwork(i, d, o)) - (d * (i + 1) + o * (d + 1)))
        for i in (1, 2, 5)
        for d in (1, 4, 9)
        for o in (1, 2, 3)
    ]
    torch.manual_seed(0)
    net, x = ShallowNetwork(3, 6, 2).double(), torch.randn(8, 3, dtype=torch.float64)
    parts = [torch.autograd.grad(net(x)[:, j].sum(), net.theta)[0] for j in range(2)]
    both = torch.autograd.grad(net(x).sum(), net.theta)[0]
    shared = min(int((part != 0).sum()) for part in parts)
    return {
        "parameters off by": max(off),
        "error": _shallow_error(3, 6, 2),
        "sum of both outputs' gradients - gradient": (sum(parts) - both).abs().max().item(),
        "hidden weights that each output moves": shared,
    }


def width_and_depth() -> dict[str, float]:
    """Row 9."""
    generator = torch.Generator().manual_seed(0)
    wrong = 0
    for _ in range(20):
        depth = int(torch.randint(2, 7, (), generator=generator))
        widths = torch.randint(1, 40, (depth,), generator=generator).tolist()
        wrong += parameter_count(widths) != _size(Mlp(widths))
    return {"configurations off": wrong}


def _points() -> Tensor:
    """Both sides, far out, and 0 itself."""
    return torch.cat([torch.linspace(-40, 40, 801), torch.tensor([0.0, -800, 800])]).double()


def _error(ours: activations.Activation, theirs: activations.Activation) -> float:
    """Largest difference in value and in gradient."""
    z = _points().requires_grad_()
    slopes = [torch.autograd.grad(function(z).sum(), z)[0] for function in (ours, theirs)]
    return max((ours(z) - theirs(z)).abs().max().item(), (slopes[0] - slopes[1]).abs().max().item())


def _shallow_error(inputs: int, units: int, outputs: int) -> float:
    torch.manual_seed(0)
    net = ShallowNetwork(inputs, units, outputs).double()
    first, second = nn.Linear(inputs, units), nn.Linear(units, outputs)
    theirs = nn.Sequential(first, nn.ReLU(), second).double()
    with torch.no_grad():
        for layer, ours in ((first, net.theta), (second, net.phi)):
            layer.bias.copy_(ours[:, 0])
            layer.weight.copy_(ours[:, 1:])
    x = torch.randn(64, inputs, dtype=torch.float64)
    return (net(x) - theirs(x)).abs().max().item()


def _bends_on_grid(net: ShallowNetwork, low: float, high: float, cells: int) -> int:
    """Changes of slope between neighbouring cells; a bend inside a cell changes it twice in a row."""
    x = torch.linspace(low, high, cells + 1, dtype=torch.float64)[:, None]
    slopes = net(x).detach().flatten().diff() * cells / (high - low)
    changed = slopes.diff().abs() > 1e-8
    return int(changed[0]) + int((changed[1:] & ~changed[:-1]).sum())


def _size(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())
