"""BERT's two pretraining heads and their loss (Devlin et al. 2019, 3.1). Rows 96 and 97.

Masked tokens: p(x_t | rest) = softmax(E LN(gelu(W h_t)) + b), E the token embeddings themselves.
Next sentence: p = softmax(V tanh(W h_0)), class 0 "B follows A", class 1 "B is from elsewhere".
The loss is the sum of the two mean negative log-likelihoods. The notes' "next sequence prediction" is next
sentence prediction.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ragkit.models.sequence.bert import Bert, BertConfig, initialise
from ragkit.models.sequence.pooler import Pooler

IGNORED = -100
"""The label of a token that is not to be predicted."""


class MaskedTokenHead(nn.Module):
    """(…, width) to (…, vocabulary) logits; the output matrix is the table of token embeddings."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.width, config.width)
        self.norm = nn.LayerNorm(config.width, config.epsilon)
        self.bias = nn.Parameter(self.dense.weight.new_zeros(config.vocabulary))

    def forward(self, hidden: Tensor, table: Tensor) -> Tensor:
        return functional.linear(self.norm(functional.gelu(self.dense(hidden))), table, self.bias)


@dataclass(frozen=True, slots=True)
class PretrainingLosses:
    """Losses in nats, `next_sentence` None without its labels; and how many were guessed right: masked
    tokens `right` of `predicted`, and pairs `pairs_right`."""

    masked: Tensor
    next_sentence: Tensor | None
    right: Tensor
    predicted: Tensor
    pairs_right: Tensor

    @property
    def total(self) -> Tensor:
        return self.masked if self.next_sentence is None else self.masked + self.next_sentence


class BertForPretraining(nn.Module):
    """Encoder, pooler and both heads; `next_sentence=False` leaves pooler and pair head out, as RoBERTa."""

    def __init__(self, config: BertConfig, next_sentence: bool = True) -> None:
        super().__init__()
        self.bert = Bert(config)
        self.masked_head = MaskedTokenHead(config)
        self.pooler = Pooler(config.width) if next_sentence else None
        self.next_head = nn.Linear(config.width, 2) if next_sentence else None
        for module in (self.masked_head, self.pooler, self.next_head):
            if module is not None:
                module.apply(initialise)

    def logits(
        self, tokens: Tensor, real: Tensor | None = None, segments: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Logits of every token (batch, tokens, vocabulary) and of the pair (batch, 2)."""
        hidden = self.bert(tokens, real, segments)
        return self._token_logits(hidden), self._pair_logits(hidden)

    def forward(
        self,
        tokens: Tensor,
        labels: Tensor,
        real: Tensor | None = None,
        segments: Tensor | None = None,
        next_labels: Tensor | None = None,
    ) -> PretrainingLosses:
        """Losses of a batch; the vocabulary's logits are only computed where there is a label.

        Args:
            labels: (batch, tokens), the true id where it is to be predicted, `IGNORED` elsewhere.
            next_labels: (batch,), 0 where B follows A.
        """
        hidden = self.bert(tokens, real, segments)
        chosen = labels != IGNORED
        logits = _precise(self._token_logits(hidden[chosen]))
        truth = labels[chosen]
        # The sum over an empty choice divided by 1 is a loss of 0, not 0/0.
        masked = functional.cross_entropy(logits, truth, reduction="sum") / max(1, len(truth))
        pair = self._pair_logits(hidden)
        following, pairs_right = None, torch.zeros((), dtype=torch.long)
        if pair is not None and next_labels is not None:
            following = functional.cross_entropy(_precise(pair), next_labels)
            pairs_right = (pair.argmax(-1) == next_labels).sum()
        right = (logits.argmax(-1) == truth).sum()
        return PretrainingLosses(masked, following, right, chosen.sum(), pairs_right)

    def _token_logits(self, hidden: Tensor) -> Tensor:
        return self.masked_head(hidden, self.bert.embeddings.tokens.weight)

    def _pair_logits(self, hidden: Tensor) -> Tensor | None:
        if self.pooler is None or self.next_head is None:
            return None
        return self.next_head(self.pooler(hidden))


def _precise(logits: Tensor) -> Tensor:
    """Logits of half precision in float32, others as they are."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
