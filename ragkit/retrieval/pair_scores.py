"""A cross-encoder's logit of each pair of question and passage: both are read together, word against word."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ragkit.encoders.batches import token_budget_batches
from ragkit.errors import RagkitError

MAX_TOKENS = 384
"""Of a pair; longer passages are read from their beginning."""
TOKENS_A_BATCH = 8192
PAIRS_AT_ONCE = 20_000
"""Pairs whose tokens are held at once."""

Pair = tuple[str, str]
"""A question and a passage's text."""


class PairScorer:
    """Scores pairs with a sequence-classification model of transformers that has one output.

    bfloat16 where the device multiplies it natively, which moves logits by some hundredths.

    Raises RagkitError for a model with several outputs.
    """

    def __init__(self, model: Any, tokenizer: Any, max_tokens: int = MAX_TOKENS) -> None:
        if model.config.num_labels != 1:
            raise RagkitError(f"the model has {model.config.num_labels} outputs, but a reranker has one")
        self.model, self.tokenizer = model, tokenizer
        self.max_tokens = min(max_tokens, getattr(model.config, "max_position_embeddings", max_tokens))

    def logits(self, pairs: Sequence[Pair]) -> npt.NDArray[np.float64]:
        """One a pair, (n,), in the order given; batches hold pairs of like length."""
        found = np.empty(len(pairs))
        for at in range(0, len(pairs), PAIRS_AT_ONCE):
            some = pairs[at : at + PAIRS_AT_ONCE]
            found[at : at + len(some)] = self._logits(some)
        return found

    def _logits(self, pairs: Sequence[Pair]) -> npt.NDArray[np.float64]:
        import torch

        from ragkit.runtime.precision import native_precision

        tokens = self.tokenizer(
            [question for question, _ in pairs],
            [passage for _, passage in pairs],
            truncation="longest_first",
            max_length=self.max_tokens,
            return_attention_mask=False,
        )
        found = np.empty(len(pairs))
        device = self.model.device
        for batch in token_budget_batches([len(ids) for ids in tokens["input_ids"]], TOKENS_A_BATCH):
            rows = {name: [column[row] for row in batch] for name, column in tokens.items()}
            padded = self.tokenizer.pad(rows, return_tensors="pt").to(device)
            with torch.inference_mode(), native_precision(device):
                found[batch] = self.model(**padded).logits[:, 0].double().cpu().numpy()
        return found
