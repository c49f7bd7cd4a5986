"""Masked language modelling data: select 15 % of the tokens; of those 80 % become [MASK], 10 % a random
token, 10 % stay (Devlin et al. 2019, 3.1 and A.1). Row 96.

The notes give 80/10/10 but not the 15 %: with `selection="notes"` every token is selected, so that a loss is
paid for each and four in five are hidden. The standard selection has two conventions: google-research/bert
picks round(0.15 · length) tokens of each sequence ("sequence"); transformers draws each token ("token").
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ragkit.models.sequence.bert_pretraining import IGNORED

Selection = Literal["token", "sequence", "notes"]


@dataclass(frozen=True, slots=True)
class Masking:
    """How sequences are corrupted.

    `vocabulary` bounds the random tokens, which are drawn from all of it as both references do.
    """

    mask_token: int
    vocabulary: int
    rate: float = 0.15
    masked: float = 0.8
    replaced: float = 0.1
    selection: Selection = "token"


def mask_tokens(
    tokens: Tensor,
    maskable: Tensor,
    masking: Masking,
    words: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """(corrupted tokens, labels), both (batch, tokens); labels are `IGNORED` at all not selected.

    Args:
        maskable: True at tokens that may be selected; special tokens and padding are not.
        words: (batch, tokens), the number of the word that a token is part of: selects whole words.
    """
    selected = select(maskable, masking, words, generator)
    drawn = torch.rand(tokens.shape, generator=generator)
    hidden = selected & (drawn < masking.masked)
    replaced = selected & ~hidden & (drawn < masking.masked + masking.replaced)
    random = torch.randint(masking.vocabulary, tokens.shape, generator=generator)
    corrupted = torch.where(hidden, masking.mask_token, torch.where(replaced, random, tokens))
    return corrupted, torch.where(selected, tokens, IGNORED)


def select(
    maskable: Tensor,
    masking: Masking,
    words: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """(batch, tokens), True at the tokens that are to be predicted."""
    if masking.selection == "notes":
        return maskable.clone()
    chances = torch.rand(maskable.shape, generator=generator)
    if words is not None:
        # All tokens of a word share the chance of one of them.
        numbers = words - words.min()
        chances = chances.gather(1, _first_of_each(numbers)) if numbers.numel() else chances
    if masking.selection == "token":
        return maskable & (chances < masking.rate)
    return _exact(maskable, chances, masking.rate, whole_words=words is not None)


def _first_of_each(numbers: Tensor) -> Tensor:
    """(batch, tokens): the place of the first token of the same word."""
    width = numbers.shape[1]
    first = torch.full((len(numbers), int(numbers.max()) + 1), width, dtype=torch.long)
    places = torch.arange(width).expand_as(numbers)
    return first.scatter_reduce(1, numbers, places, "amin").gather(1, numbers)


def _exact(maskable: Tensor, chances: Tensor, rate: float, whole_words: bool) -> Tensor:
    """round(rate · tokens), at least one, of each row: the lowest chances. A word that would exceed the
    number is passed over, as in create_pretraining_data.py."""
    selected = torch.zeros_like(maskable)
    for row in range(len(maskable)):
        places = maskable[row].nonzero()[:, 0]
        wanted = min(len(places), max(1, round(rate * len(places))))
        order = places[chances[row, places].argsort(stable=True)]
        if not whole_words:
            selected[row, order[:wanted]] = True
            continue
        taken = 0
        for group in order.split(_runs(chances[row, order])):
            if taken + len(group) <= wanted:
                selected[row, group] = True
                taken += len(group)
    return selected


def _runs(values: Tensor) -> list[int]:
    """Lengths of the runs of equal values."""
    return torch.unique_consecutive(values, return_counts=True)[1].tolist()
