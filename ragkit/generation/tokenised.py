"""Texts as word pieces with their places, and the windows that a long one is read through."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class TokenisedText:
    """Word pieces of a text: `ids` (tokens,), `offsets` (tokens, 2) in characters of the text."""

    ids: np.ndarray
    offsets: np.ndarray

    def tokens_of(self, start: int, stop: int) -> tuple[int, int] | None:
        """First and last token, both inclusive, that touch the characters [start, stop)."""
        first = int(np.searchsorted(self.offsets[:, 1], start, side="right"))
        last = int(np.searchsorted(self.offsets[:, 0], stop, side="left")) - 1
        return (first, last) if first <= last else None


def tokenise(tokenizer: Any, texts: Sequence[str]) -> list[TokenisedText]:
    """Word pieces of each text without special tokens, through a fast tokenizer, never truncated."""
    found: list[TokenisedText] = []
    for at in range(0, len(texts), 1000):
        encoded = tokenizer(
            list(texts[at : at + 1000]),
            add_special_tokens=False,
            return_offsets_mapping=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        for ids, offsets in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
            found.append(TokenisedText(np.array(ids, np.int32), np.array(offsets, np.int32).reshape(-1, 2)))
    return found


def windows_of(tokens: int, room: int, stride: int) -> Iterator[tuple[int, int]]:
    """Cuts `tokens` into windows [begin, end) of at most `room`, neighbours sharing `stride` tokens."""
    if not 0 <= stride < room:
        raise ValueError(f"a stride of {stride} tokens does not fit windows of {room}")
    begin = 0
    while True:
        yield begin, min(begin + room, tokens)
        if begin + room >= tokens:
            return
        begin += room - stride
