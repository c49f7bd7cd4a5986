"""From the word pieces of an answer back to text as it is written in the passage."""

import re
from collections.abc import Sequence
from typing import Any

_BEFORE = re.compile(r"\s+([,.;:!?%)\]}’”])")
_AFTER = re.compile(r"([(\[{$£€“#])\s+")
_INSIDE = re.compile(r"(?<=\w)\s*([-–'’/])\s*(?=\w)")


def surface_from_passage(tokenizer: Any, answer_ids: Sequence[int], passage: str) -> str:
    """The characters of the passage that the answer's tokens were copied from.

    An uncased tokenizer loses case and spacing ("5 %" is "5%"); where the tokens stand in the passage in
    this order, its own text is given back, the first such place counting. Otherwise they are decoded and
    spaces around punctuation tidied.

    Args:
        tokenizer: a fast tokenizer, for its character offsets.
        answer_ids: word pieces, special tokens among them are ignored.
    """
    special = set(tokenizer.all_special_ids)
    wanted = [int(token) for token in answer_ids if int(token) not in special]
    if not wanted:
        return ""
    encoded = tokenizer(passage, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
    for at in range(len(ids) - len(wanted) + 1):
        if ids[at : at + len(wanted)] == wanted:
            return passage[offsets[at][0] : offsets[at + len(wanted) - 1][1]]
    return tidy(tokenizer.decode(wanted, skip_special_tokens=True))


def tidy(text: str) -> str:
    """Removes the spaces that word-piece decoding leaves around punctuation."""
    return _INSIDE.sub(r"\1", _AFTER.sub(r"\1", _BEFORE.sub(r"\1", text))).strip()
