"""Linear regions of a shallow ReLU network: at most Σ_{j≤D_i} C(D, j) for D units (Zaslavsky 1975). Row 5.

The notes' "at most n + 1" holds for one input only. Each unit bends the function where its θ_d0 + θ_d x
is 0: at a point for one input, along a line for two, and the regions are the cells between the bends.
"""

from math import comb

import torch
from torch import Tensor

from ragkit.errors import RagkitError
from ragkit.models.basics.shallow import ShallowNetwork


def most_regions(units: int, inputs: int) -> int:
    """Zaslavsky's bound."""
    return sum(comb(units, j) for j in range(min(inputs, units) + 1))


def breakpoints(net: ShallowNetwork) -> Tensor:
    """The sorted x at which a net with one input bends: where a unit that reaches an output switches.

    Units that switch at the same x may cancel: only where the slope does change is a breakpoint.

    Raises:
        RagkitError: if the net has several inputs.
    """
    if net.theta.shape[1] != 2:
        raise RagkitError(f"breakpoints want a net with 1 input, this one has {net.theta.shape[1] - 1}")
    bias, slope = net.theta.detach().T
    moving = slope != 0
    at = -bias[moving] / slope[moving]
    # Passing the point from the left, a unit adds φ_d |θ_d1| to the slope, whichever way it faces.
    bend = net.phi.detach()[:, 1:][:, moving] * slope[moving].abs()
    points, place = at.unique(return_inverse=True)
    changes = torch.zeros(len(bend), len(points), dtype=bend.dtype).index_add_(1, place, bend)
    return points[(changes != 0).any(dim=0)]


def regions_of_the_plane(net: ShallowNetwork) -> int:
    """How many cells the units of a net with two inputs cut the plane into.

    Every cell of two or more lines, no two of them parallel, has a corner, and around the corner of lines
    i and j lie four cells, one for each combination of the sides of i and j: they are all collected.

    Raises:
        RagkitError: if the net has not two inputs, or has parallel lines.
    """
    if net.theta.shape[1] != 3:
        raise RagkitError(f"a plane wants a net with 2 inputs, this one has {net.theta.shape[1] - 1}")
    bias, normal = net.theta.detach()[:, 0], net.theta.detach()[:, 1:]
    units = len(bias)
    if units < 2:
        return units + 1
    cells: set[tuple[bool, ...]] = set()
    for i, j in torch.combinations(torch.arange(units)).tolist():
        pair = normal[[i, j]]
        if torch.linalg.det(pair) == 0:
            raise RagkitError(f"units {i} and {j} switch along parallel lines: cells without a corner")
        corner = torch.linalg.solve(pair, -bias[[i, j]])
        sides = (bias + normal @ corner > 0).tolist()
        for sides[i] in (False, True):
            for sides[j] in (False, True):
                cells.add(tuple(sides))
    return len(cells)
