"""How a model wants to see a question and a passage in one row of tokens."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ragkit.errors import RagkitError

Tokens = npt.NDArray[np.int32]
Row = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PairFrame:
    """The special tokens around question and passage.

    `[CLS] question [SEP] passage [SEP]` for BERT, `<s> question </s></s> passage </s>` for RoBERTa.

    Attributes:
        before, between, behind: token ids.
        types: token types of before, question, between, passage and behind.
        null: the place of [CLS], where "no answer" begins and ends.
    """

    before: list[int]
    between: list[int]
    behind: list[int]
    types: tuple[int, ...]
    null: int

    @classmethod
    def of(cls, tokenizer: Any) -> "PairFrame":
        """Read off how the tokenizer joins two texts.

        Raises RagkitError where it sets no [CLS] before them.
        """
        encoded = tokenizer("a", "a", return_token_type_ids=True)
        ids, sides = encoded["input_ids"], encoded.sequence_ids(0)
        (question, question_end), (passage, passage_end) = (
            (sides.index(side), len(sides) - sides[::-1].index(side)) for side in (0, 1)
        )
        if tokenizer.cls_token_id not in ids[:question]:
            raise RagkitError(
                "the reader's tokenizer sets no [CLS] before a question: no place for no answer"
            )
        types = [
            *encoded["token_type_ids"],
            0,
        ]  # the 0 is for a tokenizer that sets nothing behind the passage
        return cls(
            before=ids[:question],
            between=ids[question_end:passage],
            behind=ids[passage_end:],
            types=tuple(types[at] for at in (0, question, question_end, passage, passage_end)),
            null=ids.index(tokenizer.cls_token_id),
        )

    @property
    def tokens(self) -> int:
        """How many special tokens a pair has."""
        return len(self.before) + len(self.between) + len(self.behind)

    def passage_at(self, question: Tokens) -> int:
        """The place of the passage's first token."""
        return len(self.before) + len(question) + len(self.between)

    def joined(self, question: Tokens, passage: Tokens) -> tuple[Row, Row]:
        """(ids, token types) of a pair, (tokens,) each."""
        parts = (self.before, question, self.between, passage, self.behind)
        ids = np.concatenate([np.asarray(part, np.int64) for part in parts])
        return ids, np.repeat(np.array(self.types, np.int64), [len(part) for part in parts])
