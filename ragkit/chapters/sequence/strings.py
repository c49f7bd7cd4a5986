"""Strings of digits to learn from and other ones to test on, for the recipes of chapter 6."""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple
from zlib import crc32

import torch
from torch import Tensor
from torch.nn import functional

PADDING, BEGIN, END, FIRST = 0, 1, 2, 3
"""Tokens; `FIRST` is the digit 0."""
VOCABULARY = FIRST + 10
HELD_OUT = 10
"""One string in so many is never trained on."""

Digits = Sequence[int]


class Strings(NamedTuple):
    """Tokens (rows, longest) with padding behind, their lengths (rows,), and what is to be written: tokens
    with an end and padding (rows, longest written)."""

    source: Tensor
    lengths: Tensor
    target: Tensor


def drawn(count: int, lengths: range, seed: int, held_out: bool, digits: int = 10) -> list[Digits]:
    """Strings of any of the lengths, drawn from those that are held out or from those that are not."""
    rng = random.Random(f"{seed} {held_out}")
    found: list[Digits] = []
    while len(found) < count:
        string = [rng.randrange(digits) for _ in range(rng.choice(lengths))]
        if (crc32(bytes(string)) % HELD_OUT == 0) == held_out:
            found.append(string)
    return found


def written(strings: Sequence[Digits], write: Callable[[Digits], Digits]) -> Strings:
    """The strings as tokens, and what `write` makes of each."""
    targets = [[*(FIRST + digit for digit in write(string)), END] for string in strings]
    sources = [[FIRST + digit for digit in string] for string in strings]
    return Strings(_padded(sources), torch.tensor([len(s) for s in strings]), _padded(targets))


def token_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Mean negative log-likelihood of the target's tokens, in nats."""
    return functional.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=PADDING)


def exact(found: Sequence[Digits], target: Tensor) -> float:
    """Share of the rows that were written without a mistake, the end included."""
    wanted = [[token for token in row if token != PADDING] for row in target.tolist()]
    return sum(list(a) == b for a, b in zip(found, wanted, strict=True)) / len(wanted)


def _padded(rows: Sequence[Digits]) -> Tensor:
    width = max(map(len, rows))
    return torch.tensor([[*row, *[PADDING] * (width - len(row))] for row in rows])
