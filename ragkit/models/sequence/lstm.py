"""LSTM: i, f, o = σ(W x + U h + b), g = tanh(W x + U h + b); c ← f·c + i·g; h ← P (o·tanh c)
(Hochreiter & Schmidhuber 1997; the projection P of Sak et al. 2014). Row 82.

The notes use LSTMs without defining them. The projection and the clipping of c and of h, both optional, are
ELMo's (allenai/bilm-tf).
"""

import torch
from torch import Tensor, nn

from ragkit.models.sequence.lstm_recurrence import Clips, LstmRecurrence, LstmWeights

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
        x, reading, order = x.transpose(0, 1), [len(x)] * x.shape[1], None
        if lengths is not None:
            lengths, order = lengths.cpu().sort(descending=True, stable=True)
            reading = (lengths > torch.arange(len(x))[:, None]).sum(1).tolist()
            x, h, c = x[:, order], h[order], c[order]
        weights = LstmWeights(
            self.input.weight, self.input.bias, self.recurrent.weight,
            None if self.projection is None else self.projection.weight,
        )  # fmt: skip
        clips = Clips(self.cell_clip, None if self.projection is None else self.projection_clip)
        outputs, h, c = LstmRecurrence.apply(x, h, c, reading, clips, *weights)
        if order is not None:
            back = order.argsort()
            outputs, h, c = outputs[:, back], h[back], c[back]
        return outputs.transpose(0, 1), (h, c)

    def start(self, x: Tensor) -> CellState:
        return x.new_zeros(len(x), self.outputs), x.new_zeros(len(x), self.cells)


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
