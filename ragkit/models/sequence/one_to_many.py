"""One to many: s_0 = tanh(A x), then p(y_t | y_<t, x) from the decoder, e.g. a caption of a label. Row 77."""

from torch import Tensor, nn

from ragkit.models.sequence.lstm import CellState
from ragkit.models.sequence.recurrent_decoder import RecurrentDecoder


class OneToMany(nn.Module):
    """One object, a number among `classes`, to an output sequence."""

    def __init__(self, classes: int, vocabulary: int, width: int, hidden: int) -> None:
        super().__init__()
        self.objects = nn.Embedding(classes, hidden)
        self.decoder = RecurrentDecoder(vocabulary, width, hidden)

    def forward(self, objects: Tensor, inputs: Tensor) -> Tensor:
        """Logits (batch, tokens, vocabulary) for objects (batch,) and decoder inputs (batch, tokens)."""
        return self.decoder(inputs, self.start(objects))

    def start(self, objects: Tensor) -> CellState:
        first = self.objects(objects)
        return first.tanh(), first
