"""Token ids of texts as sentence-transformers' `preprocess` makes them, in a third of the time."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch

from ragkit.encoders.batches import padded_length
from ragkit.encoders.passport import CANARY_PASSAGES, CANARY_QUESTIONS
from ragkit.encoders.towers import Task

Rows = list[list[int]]
PROBES = (*CANARY_QUESTIONS, *(text for _, text in CANARY_PASSAGES), "Ünïcode\n a\tB ", "word " * 3000)
"""Texts, one of them longer than any limit, on which both ways must give the same."""


class Tokens:
    """Ids from a copy of what is inside transformers' tokenizer, padded here.

    Only for models where that is all that `preprocess` does: see `tokens_of`.
    """

    def __init__(self, tokenizer: Any, limit: int | None, prompt: str) -> None:
        self._padding, self._limit, self._prompt = tokenizer.pad_token_id, limit, prompt
        self._tokenizer = deepcopy(tokenizer.backend_tokenizer)
        self._tokenizer.no_padding()
        if limit is None:
            self._tokenizer.no_truncation()
        else:
            self._tokenizer.enable_truncation(limit)

    def ids(self, texts: Sequence[str]) -> Rows:
        if self._prompt:
            texts = [self._prompt + text for text in texts]
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts)]

    def features(self, rows: Rows, multiple: int = 1) -> dict[str, Any]:
        """input_ids and attention_mask of one batch, each (texts, `padded_length`)."""
        length = padded_length(max(map(len, rows)), multiple, self._limit)
        ids = np.full((len(rows), length), self._padding, np.int64)
        mask = np.zeros((len(rows), length), np.int64)
        for at, row in enumerate(rows):
            ids[at, : len(row)], mask[at, : len(row)] = row, 1
        return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}


def tokens_of(model: Any, task: Task, prompt: str) -> Tokens | None:
    """None where `preprocess` does more to a text of this task than its tokenizer."""
    from transformers import PreTrainedTokenizerBase

    tokenizer = model.tokenizer
    if not (
        isinstance(tokenizer, PreTrainedTokenizerBase)
        and tokenizer.is_fast
        and tokenizer.pad_token_id is not None
        and tokenizer.padding_side == "right"
    ):
        return None
    found = Tokens(tokenizer, model.max_seq_length, prompt)
    wanted = model.preprocess(list(PROBES), prompt=prompt or None, task=task)
    mine = found.features(found.ids(PROBES))
    if not all(name in wanted and torch.equal(tensor, wanted[name].cpu()) for name, tensor in mine.items()):
        return None
    segments = wanted.get("token_type_ids")
    return found if segments is None or not segments.any() else None
