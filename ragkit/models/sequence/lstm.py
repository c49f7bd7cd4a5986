"""LSTM: i, f, o = σ(W x + U h + b), g = tanh(W x + U h + b); c ← f·c + i·g; h ← P (o·tanh c)
(Hochreiter & Schmidhuber 1997; the projection P of Sak et al. 2014). Row 82.

The notes use LSTMs without defining them. The projection and the clipping of c and of h, both optional, are
ELMo's (allenai/bilm-tf).
"""

import torch
from torch import Tensor, nn

CellState = tuple[Tensor, Tensor]
"""Output h (batch, outputs) and cell c (batch, cells)."""


class LstmLayer(nn.Module):
    """One direction of one layer; without `projection` it puts out its `cells`.

    Args:
        cell_clip, projection_clip: largest absolute value of c, and of a projected h.
    """

    def __init__(
        self,
        width: int,
        cells: int,
        projection: int | None = None,
        cell_clip: float | None = None,
        projection_clip: float | None = None,
    ) -> None:
        super().__init__()
        self.cells, self.outputs = cells, projection or cells
        self.cell_clip, self.projection_clip = cell_clip, projection_clip
        self.input = nn.Linear(width, 4 * cells)  # in the order i, f, g, o
        self.recurrent = nn.Linear(self.outputs, 4 * cells, bias=False)
        self.projection = nn.Linear(cells, projection, bias=False) if projection else None

    def forward(
        self, x: Tensor, state: CellState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, CellState]:
        """Outputs (batch, tokens, outputs) of x (batch, tokens, width), and the state after the last token.

        Past its length a row puts out zeros and keeps its state.
        """
        h, c = self.start(x) if state is None else state
        gates = self.input(x).unbind(1)  # the inputs' share needs no recurrence: one product for all tokens
        real = None if lengths is None else torch.arange(x.shape[1], device=x.device) < lengths[:, None]
        outputs = []
        for step, drive in enumerate(gates):
            new_h, new_c = self._step(drive, h, c)
            if real is None:
                h, c = new_h, new_c
                outputs.append(h)
            else:
                here = real[:, step, None]
                h, c = torch.where(here, new_h, h), torch.where(here, new_c, c)
                outputs.append(new_h * here)
        return torch.stack(outputs, dim=1), (h, c)

    def start(self, x: Tensor) -> CellState:
        return x.new_zeros(len(x), self.outputs), x.new_zeros(len(x), self.cells)

    def _step(self, drive: Tensor, h: Tensor, c: Tensor) -> CellState:
        i, f, g, o = torch.addmm(drive, h, self.recurrent.weight.mT).chunk(4, dim=-1)
        c = torch.addcmul(f.sigmoid() * c, i.sigmoid(), g.tanh())
        if self.cell_clip is not None:
            c = c.clamp(-self.cell_clip, self.cell_clip)
        h = o.sigmoid() * c.tanh()
        if self.projection is not None:
            h = self.projection(h)
            if self.projection_clip is not None:
                h = h.clamp(-self.projection_clip, self.projection_clip)
        return h, c


class Lstm(nn.Module):
    """Layers of LSTM over each other."""

    def __init__(
        self,
        width: int,
        cells: int,
        layers: int = 1,
        projection: int | None = None,
        cell_clip: float | None = None,
        projection_clip: float | None = None,
    ) -> None:
        super().__init__()
        widths = [width] + [projection or cells] * (layers - 1)
        self.layers = nn.ModuleList(
            LstmLayer(w, cells, projection, cell_clip, projection_clip) for w in widths
        )

    def forward(
        self, x: Tensor, state: list[CellState] | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, list[CellState]]:
        """Outputs of the last layer (batch, tokens, outputs) and the state of every layer."""
        ends = []
        for at, layer in enumerate(self.layers):
            x, end = layer(x, None if state is None else state[at], lengths)
            ends.append(end)
        return x, ends
