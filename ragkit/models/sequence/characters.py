"""Words as rows of character ids, ELMo's alphabet: 256 bytes of UTF-8 and marks for the ends of words and
sentences (allenai/bilm-tf, `UnicodeCharsVocabulary`). Row 84."""

from collections.abc import Sequence

import torch
from torch import Tensor

BEGIN_SENTENCE, END_SENTENCE = "<S>", "</S>"

_BEGIN_SENTENCE, _END_SENTENCE, _BEGIN_WORD, _END_WORD, _PADDING = 256, 257, 258, 259, 260
CHARACTERS = 262
"""Rows of the table of characters: 261 ids, all moved up by one so that 0 is no word at all."""


def word_characters(word: str, length: int = 50) -> list[int]:
    """`length` ids: begin of word, its bytes (as many as fit), end of word, padding."""
    if word == BEGIN_SENTENCE:
        inner = [_BEGIN_SENTENCE]
    elif word == END_SENTENCE:
        inner = [_END_SENTENCE]
    else:
        inner = list(word.encode("utf-8", "ignore")[: length - 2])
    ids = [_BEGIN_WORD, *inner, _END_WORD]
    return [i + 1 for i in ids + [_PADDING] * (length - len(ids))]


def sentence_characters(sentences: Sequence[Sequence[str]], length: int = 50) -> tuple[Tensor, Tensor]:
    """Ids (batch, tokens, length), 0 past a sentence's end, and the numbers of tokens (batch,).

    Each sentence is put between `<S>` and `</S>`, which its number of tokens counts.
    """
    rows = [
        [word_characters(word, length) for word in (BEGIN_SENTENCE, *words, END_SENTENCE)]
        for words in sentences
    ]
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.zeros(len(rows), int(lengths.max()) if rows else 0, length, dtype=torch.long)
    for at, row in enumerate(rows):
        ids[at, : len(row)] = torch.tensor(row)
    return ids, lengths


def sentence_ends(ids: Tensor) -> tuple[Tensor, Tensor]:
    """Where the words of character ids (…, characters) are `<S>`, and where `</S>`; both (…)."""
    return ids[..., 1] == _BEGIN_SENTENCE + 1, ids[..., 1] == _END_SENTENCE + 1
