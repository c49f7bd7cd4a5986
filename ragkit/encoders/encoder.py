"""What an encoder is to the rest of ragkit: texts in, vectors out, and a passport that names it."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from ragkit.encoders.passport import Passport

Vectors = npt.NDArray[np.float32]
Similarity = Literal["inner_product", "cosine"]


class Encoder(Protocol):
    """A dual encoder: one tower for questions, one for passages, possibly the same.

    With `similarity == "cosine"` the vectors that both methods return are of length one, so that the
    inner product is the cosine; with `"inner_product"` they are as the model gives them.
    """

    @property
    def dimension(self) -> int: ...

    @property
    def similarity(self) -> Similarity: ...

    @property
    def tokenizer(self) -> Any:
        """The transformers tokenizer of the passage tower, for splitting by tokens."""
        ...

    def encode_questions(self, questions: Sequence[str]) -> Vectors:
        """Vectors of shape (len(questions), dimension), float32, C-contiguous."""
        ...

    def encode_passages(self, passages: Sequence[tuple[str, str]]) -> Vectors:
        """Vectors of shape (len(passages), dimension) of (title, text) pairs, in the order given."""
        ...

    def passport(self) -> Passport:
        """What tells this encoder from every other: see `Passport`."""
        ...
