"""Many to one: p(y | x_1…x_T) = softmax(W h_T + b), e.g. the sentiment of a text. Row 77."""

from torch import Tensor, nn

from ragkit.models.sequence.lstm import Lstm


class ManyToOne(nn.Module):
    """Ids (batch, tokens) of sequences of unequal lengths to logits (batch, classes)."""

    def __init__(self, vocabulary: int, width: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.reader = Lstm(width, hidden)
        self.output = nn.Linear(hidden, classes)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        _, states = self.reader(self.tokens(tokens), lengths=lengths)
        return self.output(states[-1][0])
