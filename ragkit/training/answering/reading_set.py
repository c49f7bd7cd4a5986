"""Question and passage pairs as windows of tokens, ready to be batched."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ragkit.generation.tokenised import TokenisedText, tokenise, windows_of
from ragkit.training.answering.data import ReadingExample


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens [begin, end) of passage `passage` under the question of example `example`.

    `answer` is the first and the last token of the answer in the passage, None where the window does
    not hold it whole.
    """

    example: int
    passage: int
    begin: int
    end: int
    answer: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class PairBatch:
    """`[CLS] question [SEP] passage [SEP]` padded to one width; all (batch, tokens)."""

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor
    allowed: Tensor
    """True on the passage's tokens and on [CLS], the place of the null answer."""


class ReadingSet:
    """Examples with their texts tokenised once; windows say which part of which pair a row shows."""

    def __init__(
        self,
        examples: Sequence[ReadingExample],
        tokenizer: Any,
        max_tokens: int = 384,
        stride: int = 128,
        max_question_tokens: int = 64,
    ) -> None:
        self.examples = list(examples)
        self.passages = list(dict.fromkeys(example.passage for example in examples))
        where = {passage: at for at, passage in enumerate(self.passages)}
        self.passage_of = [where[example.passage] for example in examples]
        self.passage_tokens: list[TokenisedText] = tokenise(tokenizer, self.passages)
        questions = tokenise(tokenizer, [example.question for example in examples])
        self.question_ids = [question.ids[:max_question_tokens] for question in questions]
        self.max_tokens, self.stride = max_tokens, stride
        self._cls, self._sep = tokenizer.cls_token_id, tokenizer.sep_token_id
        self._pad = tokenizer.pad_token_id

    def windows(self, example: int, passage: int | None = None) -> list[Window]:
        """The windows of an example, under another passage than its own if one is named."""
        at = self.passage_of[example] if passage is None else passage
        tokens = self.passage_tokens[at]
        room = self.max_tokens - len(self.question_ids[example]) - 3
        answer = self._answer(example) if passage is None else None
        found = []
        for begin, end in windows_of(len(tokens.ids), room, min(self.stride, room - 1)):
            inside = answer is not None and begin <= answer[0] and answer[1] < end
            found.append(Window(example, at, begin, end, answer if inside else None))
        return found

    def crop(self, window: Window, tokens: int, rng: np.random.Generator) -> Window:
        """At most `tokens` of a window's passage, at random among the cuts that keep the answer whole."""
        first, last = window.answer or (window.begin, window.begin)
        if window.end - window.begin <= tokens or last - first >= tokens:
            return window
        lowest = max(window.begin, last + 1 - tokens)
        highest = min(first, window.end - tokens) if window.answer else window.end - tokens
        begin = int(rng.integers(lowest, highest + 1))
        return replace(window, begin=begin, end=begin + tokens)

    def is_free(self, window: Window) -> bool:
        """Whether the window shows the right passage to a question answered in free words."""
        example = self.examples[window.example]
        own = window.passage == self.passage_of[window.example]
        return own and bool(example.answers) and example.answer_start < 0

    def width(self, window: Window) -> int:
        """Tokens of a window's row, special tokens counted."""
        return len(self.question_ids[window.example]) + window.end - window.begin + 3

    def passage_at(self, window: Window) -> int:
        """Where in its row a window's passage begins."""
        return len(self.question_ids[window.example]) + 2

    def collate(self, windows: Sequence[Window], multiple: int = 8) -> PairBatch:
        """Rows padded to the widest, rounded up to a multiple of `multiple` tokens."""
        width = -(-max(map(self.width, windows)) // multiple) * multiple
        ids = np.full((len(windows), width), self._pad, np.int64)
        types = np.zeros_like(ids)
        mask = np.zeros_like(ids)
        allowed = np.zeros(ids.shape, bool)
        for row, window in enumerate(windows):
            at, tokens = self.passage_at(window), self.width(window)
            ids[row, 0] = self._cls
            ids[row, 1 : at - 1] = self.question_ids[window.example]
            ids[row, at - 1] = self._sep
            ids[row, at : tokens - 1] = self.passage_tokens[window.passage].ids[window.begin : window.end]
            ids[row, tokens - 1] = self._sep
            types[row, at:tokens] = 1
            mask[row, :tokens] = 1
            allowed[row, 0] = True
            allowed[row, at : tokens - 1] = True
        return PairBatch(*(torch.from_numpy(array) for array in (ids, mask, types, allowed)))

    def text_of(self, window: Window, first: int, last: int) -> str:
        """The passage's characters under row positions `first` to `last`, both inclusive."""
        shift = window.begin - self.passage_at(window)
        offsets = self.passage_tokens[window.passage].offsets
        return self.passages[window.passage][offsets[first + shift, 0] : offsets[last + shift, 1]]

    def _answer(self, example: int) -> tuple[int, int] | None:
        record = self.examples[example]
        if not record.answers or record.answer_start < 0:
            return None
        tokens = self.passage_tokens[self.passage_of[example]]
        return tokens.tokens_of(record.answer_start, record.answer_start + len(record.answers[0]))
