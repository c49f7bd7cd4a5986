"""Recurrent decoder: s_t = LSTM(s_{t-1}, E y_{t-1}), p(y_t | y_<t, s_0) = softmax(W s_t + b). Row 78."""

from torch import Tensor, nn

from ragkit.models.sequence.lstm import CellState, LstmLayer


class RecurrentDecoder(nn.Module):
    """From a first state (h, c), each (batch, hidden), to an output sequence."""

    def __init__(self, vocabulary: int, width: int, hidden: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.cell = LstmLayer(width, hidden)
        self.output = nn.Linear(hidden, vocabulary)

    def forward(self, inputs: Tensor, state: CellState) -> Tensor:
        """Logits (batch, tokens, vocabulary) of the token after each input: teacher forcing in one pass."""
        return self.output(self.cell(self.tokens(inputs), state)[0])

    def step(self, tokens: Tensor, state: CellState) -> tuple[Tensor, CellState]:
        """Logits (rows, vocabulary) after one more token a row, for `decoding` and `forced_logits`."""
        hidden, state = self.cell(self.tokens(tokens[:, None]), state)
        return self.output(hidden[:, 0]), state
