"""Universal approximation, built by hand: f̂(x) = f(0) + Σ_d φ_d ReLU[x - t_d], t_d = (d - 1)/D. Row 6.

The notes promise that enough units approximate any continuous function. Here is how: φ_d is the change of
slope at knot t_d of the polygon through f at 0, 1/D, ..., 1. For a function with bounded second derivative
its largest error is at most max|f''| / (8 D²), so twice the units leave a quarter of it.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ragkit.models.basics.shallow import ShallowNetwork


def interpolant(function: Callable[[Tensor], Tensor], units: int) -> ShallowNetwork:
    """The shallow network of `units` ReLUs that equals `function` at 0, 1/units, ..., 1."""
    knots = torch.linspace(0, 1, units + 1, dtype=torch.float64)
    values = function(knots)
    slopes = values.diff() * units
    net = ShallowNetwork(1, units, 1).double()
    with torch.no_grad():
        net.theta.copy_(torch.stack([-knots[:-1], torch.ones(units)], dim=1))
        bends = torch.cat([slopes[:1], slopes.diff()])
        net.phi.copy_(torch.cat([values[:1], bends])[None])
    return net
