"""Bidirectional language model: maximise Σ_t log p→(x_t | x_<t) + log p←(x_t | x_>t), one word encoder and
one softmax for both directions (Peters et al. 2018, 3.1). Row 83.

The notes' "two LSTM layers, one forwards, the other backwards" is one layer of each direction; ELMo has two
layers of each (`layers=1` gives the notes' form). And it was not the first: CoVe (McCann et al. 2017) had
contextual vectors before, from translation.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ragkit.models.sequence.char_cnn import CharacterCnn
from ragkit.models.sequence.characters import sentence_ends
from ragkit.models.sequence.lstm import CellState, LstmLayer
from ragkit.models.sequence.vocabulary_softmax import VocabularySoftmax

BiState = list[tuple[CellState, CellState]]
"""For each layer the states of both directions, each of (batch, …) rows."""


@dataclass(frozen=True, slots=True)
class BilmConfig:
    """Sizes of the network; a layer's vector of a word is twice `width` long, one half a direction.

    `vocabulary` words can be predicted (None: the network has no softmax and only embeds); `samples` of
    them stand for all in a training step (None: all do).
    """

    width: int = 128
    cells: int = 512
    layers: int = 2
    filters: tuple[tuple[int, int], ...] = ((1, 32), (2, 32), (3, 64), (4, 64), (5, 64))
    character_width: int = 16
    word_length: int = 50
    highways: int = 2
    cell_clip: float | None = 3.0
    projection_clip: float | None = 3.0
    skip_connections: bool = True
    dropout: float = 0.1
    vocabulary: int | None = None
    samples: int | None = None


class Bilm(nn.Module):
    """Words' characters to the vectors of every layer."""

    def __init__(self, config: BilmConfig) -> None:
        super().__init__()
        self.config = config
        self.words = CharacterCnn(config.width, config.character_width, config.filters, config.highways)
        self.ahead, self.back = _direction(config), _direction(config)
        self.dropout = nn.Dropout(config.dropout)
        self.softmax = (
            VocabularySoftmax(config.width, config.vocabulary, config.samples) if config.vocabulary else None
        )

    def forward(
        self, characters: Tensor, lengths: Tensor, state: BiState | None = None
    ) -> tuple[Tensor, BiState]:
        """(1 + layers, batch, tokens, 2·width), the word encoder's vectors (twice) first; and the end state.

        Args:
            characters: (batch, tokens, characters) as `sentence_characters` gives them.
            lengths: tokens of each row; what lies past it is zero in all layers but the first.
            state: what the call before returned, to read on; its rows are this batch's.
        """
        ahead = self.dropout(self.words(characters))
        turn = _turned(lengths, characters.shape[1])
        back = _take(ahead, turn)
        hidden, ends = [torch.cat([ahead, ahead], dim=-1)], []
        for at, (layer_ahead, layer_back) in enumerate(zip(self.ahead, self.back, strict=True)):
            before = (None, None) if state is None else state[at]
            out_ahead, end_ahead = layer_ahead(ahead, before[0], lengths)
            out_back, end_back = layer_back(back, before[1], lengths)
            skip = self.config.skip_connections and at > 0
            ahead = self.dropout(out_ahead) + ahead if skip else self.dropout(out_ahead)
            back = self.dropout(out_back) + back if skip else self.dropout(out_back)
            hidden.append(torch.cat([ahead, _take(back, turn)], dim=-1))
            ends.append((end_ahead, end_back))
        return torch.stack(hidden), ends

    def losses(
        self, characters: Tensor, lengths: Tensor, words: Tensor, state: BiState | None = None
    ) -> tuple[Tensor, Tensor, BiState]:
        """Mean negative log-likelihoods in nats of both directions, forward first, and the detached state.

        A row may hold several sentences, each between its ends. Forwards no `<S>` is to be predicted and
        backwards no `</S>`, as nothing else can stand there.

        Args:
            words: (batch, tokens), the numbers of the words, ends of sentences included.

        Raises:
            ValueError: if the network has no softmax.
        """
        if self.softmax is None:
            raise ValueError("this network has no softmax: config.vocabulary is None")
        hidden, state = self(characters, lengths, state)
        ahead, back = hidden[-1].split(self.config.width, dim=-1)
        real = torch.arange(words.shape[1], device=words.device) < lengths[:, None]
        begins, ends = sentence_ends(characters)
        both = real[:, 1:]  # a word and the one before it are there
        after, before = both & ~begins[:, 1:], both & ~ends[:, :-1]
        forwards = self.softmax(ahead[:, :-1][after], words[:, 1:][after])
        backwards = self.softmax(back[:, 1:][before], words[:, :-1][before])
        return forwards, backwards, detached(state)


def detached(state: BiState) -> BiState:
    """The state's numbers without their history: what the next batch starts from."""
    return [((a.detach(), b.detach()), (c.detach(), d.detach())) for (a, b), (c, d) in state]


def _direction(config: BilmConfig) -> nn.ModuleList:
    return nn.ModuleList(
        LstmLayer(config.width, config.cells, config.width, config.cell_clip, config.projection_clip)
        for _ in range(config.layers)
    )


def _turned(lengths: Tensor, width: int) -> Tensor:
    """(batch, width): the places that turn each row's first `lengths` tokens round, padding staying put."""
    places = torch.arange(width, device=lengths.device).expand(len(lengths), width)
    return torch.where(places < lengths[:, None], lengths[:, None] - 1 - places, places)


def _take(x: Tensor, places: Tensor) -> Tensor:
    return x.gather(1, places[:, :, None].expand_as(x))
