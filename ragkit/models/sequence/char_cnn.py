"""Character CNN: a word's vector is relu(max over places of (w_j * its characters)), filters w_j of 1 to 7
characters, then highway layers and a projection (Kim et al. 2016; Peters et al. 2018, 3.4). Row 84.

Any string has a vector: there is no unknown word. Not in the notes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ragkit.models.sequence.characters import CHARACTERS
from ragkit.models.sequence.highway import Highway


class CharacterCnn(nn.Module):
    """Character ids (batch, tokens, characters) to word vectors (batch, tokens, width).

    Args:
        filters: (characters wide, how many) of each group of filters.
    """

    def __init__(
        self, width: int, character_width: int, filters: Sequence[tuple[int, int]], highways: int = 2
    ) -> None:
        super().__init__()
        total = sum(count for _, count in filters)
        self.characters = nn.Embedding(CHARACTERS, character_width, padding_idx=0)
        self.convolutions = nn.ModuleList(nn.Conv1d(character_width, count, w) for w, count in filters)
        self.highways = nn.Sequential(*(Highway(total) for _ in range(highways)))
        self.projection = nn.Linear(total, width)

    def forward(self, ids: Tensor) -> Tensor:
        # A text repeats its words: each different one passes through the filters once.
        words, place = torch.unique(ids.flatten(0, 1), dim=0, return_inverse=True)
        x = self.characters(words).mT
        x = torch.cat([convolution(x).amax(dim=-1).relu() for convolution in self.convolutions], dim=-1)
        return self.projection(self.highways(x))[place].unflatten(0, ids.shape[:2])
