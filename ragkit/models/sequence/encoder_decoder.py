"""Encoder-decoder: the state after the source's last token is the context c = h_T, from which the decoder
starts, p(y | x) = Π_t p(y_t | y_<t, c) (Sutskever et al. 2014). Rows 77 (many to many) and 78.

All of the source must fit into c, however long it is: what attention (row 87) mends.
"""

from torch import Tensor, nn

from ragkit.models.sequence.lstm import CellState, Lstm
from ragkit.models.sequence.recurrent_decoder import RecurrentDecoder


class EncoderDecoder(nn.Module):
    """A source (batch, source) to a target of any other length."""

    def __init__(self, source_vocabulary: int, target_vocabulary: int, width: int, hidden: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(source_vocabulary, width)
        self.encoder = Lstm(width, hidden)
        self.decoder = RecurrentDecoder(target_vocabulary, width, hidden)

    def forward(self, source: Tensor, lengths: Tensor, inputs: Tensor) -> Tensor:
        """Logits (batch, target, vocabulary) for the decoder's inputs (batch, target)."""
        return self.decoder(inputs, self.start(source, lengths))

    def start(self, source: Tensor, lengths: Tensor) -> CellState:
        """The context; padding past `lengths` has no part in it."""
        return self.encoder(self.tokens(source), lengths=lengths)[1][-1]
