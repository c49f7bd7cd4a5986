"""A multi-layer perceptron that computes with integers only. Row 150 (Jacob et al. 2018, section 2.2).

    acc_o = Σ_i q_oi (x_i - z_x) + b_o,                  8 bits times 8 added up in 32, b_o = b / (s_x s_o)
    y_o   = clamp(z_y + (acc_o M_o) >> n_o, 0, 255),     M_o 2^-n_o ~ s_x s_o / s_y,  2^30 <= M_o < 2^31

The real factor between two layers' grids becomes an integer and a shift, ReLU the clamp at z_y. The last
layer gives its accumulators on one common grid, whose order is the answer's.
"""

import torch
from torch import Tensor, nn

from ragkit.errors import RagkitError
from ragkit.models.compress.affine import Grid, symmetric_grid, to_integers
from ragkit.models.compress.quantisation_aware import QuantisedLinear

FRACTION = 31
LAST_BITS = 16
"""Of the last layer's outputs, which are compared and not multiplied again."""


class IntegerNetwork(nn.Module):
    """Linear layers with ReLU between them, from layers trained on their grids.

    Only the first input is a float: it is quantised, and all from there to the outputs is integers.

    Raises:
        RagkitError: if a layer does not quantise its inputs, or has scales by group.
    """

    def __init__(self, layers: list[QuantisedLinear]) -> None:
        super().__init__()
        if not all(layer.inputs and layer.group is None for layer in layers):
            raise RagkitError("integer arithmetic needs layers with quantised inputs and a scale a row")
        self.first = layers[0].input_grid()
        grids = [layer.input_grid() for layer in layers]
        for number, (layer, grid) in enumerate(zip(layers, grids, strict=True)):
            weights = symmetric_grid(layer.weight, layer.bits, 1)
            step = grid.scale.double() * weights.scale.double().flatten()
            bias = layer.bias.double() if layer.bias is not None else torch.zeros_like(step)
            following = grids[number + 1] if number + 1 < len(grids) else _outputs(layer, grid)
            multiplier, shift = fixed_point(step / following.scale.double())
            self._keep(number, "weight", to_integers(layer.weight, weights).to(torch.int8))
            self._keep(number, "bias", (bias / step).round().to(torch.int32))
            self._keep(number, "multiplier", multiplier)
            self._keep(number, "shift", shift)
            self._keep(number, "zeros", torch.stack([grid.zero, following.zero]).to(torch.int32))
        self.count = len(layers)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs) floats to (batch, outputs) int64, whose largest is the answer."""
        q = to_integers(x, self.first).long()
        for number in range(self.count):
            zero, following = self._kept(number, "zeros").long()
            weight, bias = self._kept(number, "weight").long(), self._kept(number, "bias").long()
            sums = (q - zero) @ weight.T + bias
            shift = self._kept(number, "shift").long()
            # Half a unit before the shift rounds to the nearest.
            q = following + ((sums * self._kept(number, "multiplier").long() + (1 << (shift - 1))) >> shift)
            if number + 1 < self.count:
                q = q.clamp(int(following), 255)
        return q

    def _keep(self, number: int, name: str, tensor: Tensor) -> None:
        self.register_buffer(f"{name}_{number}", tensor)

    def _kept(self, number: int, name: str) -> Tensor:
        return self.get_buffer(f"{name}_{number}")


def fixed_point(factor: Tensor) -> tuple[Tensor, Tensor]:
    """Positive real factors as M 2^-n: int32 M in 2^30 .. 2^31 - 1, and n."""
    mantissa, exponent = torch.frexp(factor)
    whole = (mantissa * 2**FRACTION).round().long()
    over = whole == 2**FRACTION
    whole = torch.where(over, whole // 2, whole)
    return whole.to(torch.int32), (FRACTION - exponent - over.int()).to(torch.int32)


def _outputs(layer: QuantisedLinear, grid: Grid) -> Grid:
    """A grid that no output of the layer can leave."""
    largest = torch.maximum(grid.largest.abs(), grid.least.abs())
    bound = largest * layer.weight.abs().sum(1).max()
    bound = bound + (layer.bias.abs().max() if layer.bias is not None else 0)
    scale = bound.detach() / 2 ** (LAST_BITS - 1)
    return Grid(scale, torch.zeros_like(scale), -(2 ** (LAST_BITS - 1)), 2 ** (LAST_BITS - 1) - 1)
