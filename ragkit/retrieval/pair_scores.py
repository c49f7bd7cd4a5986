"""A cross-encoder's logit of each pair of question and passage: both are read together, word against word."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ragkit.encoders.batches import padded_length, token_budget_batches
from ragkit.encoders.hashing import hash_json, hash_weights
from ragkit.errors import RagkitError
from ragkit.runtime.precision import AUTO

MAX_TOKENS = 384
"""Of a pair; longer passages are read from their beginning."""
PAIRS_AT_ONCE = 20_000
"""Pairs whose tokens are held at once."""

Pair = tuple[str, str]
"""A question and a passage's text."""


class PairScorer:
    """Scores pairs with a sequence-classification model of transformers that has one output.

    `runtime` and `precision`: as in `ragkit.runtime.pairs.PairModel`.

    Raises RagkitError for a model with several outputs, and as `PairModel`.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        max_tokens: int = MAX_TOKENS,
        runtime: str = AUTO,
        precision: str = AUTO,
    ) -> None:
        if model.config.num_labels != 1:
            raise RagkitError(f"the model has {model.config.num_labels} outputs, but a reranker has one")
        from ragkit.runtime.pairs import PairModel

        self.model, self.tokenizer = model, tokenizer
        self.max_tokens = min(max_tokens, getattr(model.config, "max_position_embeddings", max_tokens))
        self._pairs = PairModel(model, tokenizer, ("logits",), self._identity, runtime, precision)

    def _identity(self) -> str:
        return hash_json([hash_weights(self.model), self.model.config.to_dict()])

    def logits(self, pairs: Sequence[Pair]) -> npt.NDArray[np.float64]:
        """One a pair, (n,), in the order given; batches hold pairs of like length."""
        found = np.empty(len(pairs))
        for at in range(0, len(pairs), PAIRS_AT_ONCE):
            some = pairs[at : at + PAIRS_AT_ONCE]
            found[at : at + len(some)] = self._logits(some)
        return found

    def _logits(self, pairs: Sequence[Pair]) -> npt.NDArray[np.float64]:
        tokens = self.tokenizer(
            [question for question, _ in pairs],
            [passage for _, passage in pairs],
            truncation="longest_first",
            max_length=self.max_tokens,
            return_attention_mask=False,
            return_token_type_ids=True,
        )
        found = np.empty(len(pairs))
        lengths = [len(ids) for ids in tokens["input_ids"]]
        forward = self._pairs.forward(len(pairs))
        batches = list(token_budget_batches(lengths, forward.tokens_a_batch))
        padded = self._padded(tokens, batches, forward.multiple)
        for batch, (logits,) in zip(batches, forward(padded), strict=True):
            found[batch] = logits[:, 0]
        return found

    def _padded(self, tokens: Any, batches: Sequence[list[int]], multiple: int) -> Iterator[dict[str, Any]]:
        for batch in batches:
            rows = {name: [column[row] for row in batch] for name, column in tokens.items()}
            length = padded_length(max(map(len, rows["input_ids"])), multiple, self.max_tokens)
            yield dict(self.tokenizer.pad(rows, "max_length", max_length=length, return_tensors="np"))
