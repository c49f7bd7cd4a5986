"""Row 97: sentence pairs, and a small BERT that learns 256 of them by heart."""

from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn

from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.sequence.bert import pretraining_error
from ragkit.chapters.tensors import TensorRecipe
from ragkit.models.sequence.bert import BertConfig
from ragkit.models.sequence.bert_pretraining import IGNORED, BertForPretraining
from ragkit.models.sequence.sentence_pairs import ELSEWHERE, sentence_pairs
from ragkit.training.recipe import LoopSettings, Recipe

CLS, SEP, FIRST_WORD, WORDS = 1, 2, 5, 200
LONGEST = 24
"""Tokens of both parts of a pair."""


@dataclass(frozen=True, kw_only=True)
class SentencePairs(Experiment):
    """Pairs of sentences of random words: nothing tells whether B follows A but having seen it."""

    pairs: int = 256
    width: int = 64
    loop: LoopSettings = LoopSettings(
        learning_rate=1e-3, epochs=80, precision="fp32", validate_every=160, weight_decay=0.0
    )

    def recipe(self) -> Recipe:
        def loss(model: nn.Module, tokens: Tensor, segments: Tensor, labels: Tensor) -> Tensor:
            nothing = torch.full_like(tokens, IGNORED)
            total: Tensor = model(tokens, nothing, tokens > 0, segments, labels).total
            return total

        def scores(model: nn.Module) -> dict[str, float]:
            assert isinstance(model, BertForPretraining)
            logits = model.logits(tokens, tokens > 0, segments)[1]
            assert logits is not None
            told = (logits.argmax(1) == labels).double().mean().item()
            return {"loss": float(loss(model, tokens, segments, labels)), "accuracy": told}

        tokens, segments, labels = data = self.data()
        model = BertForPretraining(BertConfig(WORDS, self.width, 2, 4, 2 * self.width, 32, dropout=0.0))
        return TensorRecipe(model, data, loss, scores, batch_size=64, seed=self.loop.seed)

    def data(self) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens and segments (pairs, LONGEST + 3), labels (pairs,)."""
        rng = np.random.default_rng(self.loop.seed)
        documents = [[rng.integers(FIRST_WORD, WORDS, 6).tolist() for _ in range(20)] for _ in range(70)]
        found = sentence_pairs(documents, LONGEST, rng)[: self.pairs]
        tokens = torch.zeros(len(found), LONGEST + 3, dtype=torch.long)
        segments = torch.zeros_like(tokens)
        for row, pair in enumerate(found):
            ids = [CLS, *pair.a, SEP, *pair.b, SEP]
            tokens[row, : len(ids)] = torch.tensor(ids)
            segments[row, len(pair.a) + 2 : len(ids)] = 1
        return tokens, segments, torch.tensor([pair.label for pair in found])


def next_sentence() -> dict[str, float | list[float]]:
    """Row 97."""
    learnt: dict[str, float | list[float]] = {
        "off BertForPreTraining": pretraining_error(),
        "parameters of base": base_size(),
        "of 256 pairs told": over_seeds(SentencePairs())["accuracy"],
    }
    return learnt | drawn()


def base_size() -> int:
    """Parameters of bert-base-uncased with both heads."""
    with torch.device("meta"):
        model = BertForPretraining(BertConfig())
    return sum(p.numel() for p in model.parameters())


def drawn() -> dict[str, float]:
    """Documents whose tokens are numbered in reading order: whose a token is and what it follows is known."""
    number = iter(range(10**6))
    rng = np.random.default_rng(0)
    documents = [[[next(number) for _ in range(rng.integers(3, 9))] for _ in range(30)] for _ in range(200)]
    owner = {token: at for at, text in enumerate(documents) for token in chain(*text)}
    pairs = sentence_pairs(documents, 40, rng)
    elsewhere = [pair for pair in pairs if pair.label == ELSEWHERE]
    follows = [pair for pair in pairs if pair.label != ELSEWHERE]
    return {
        "random ones off half, points": 100 * abs(len(elsewhere) / len(pairs) - 0.5),
        "random ones of the same document": sum(owner[p.a[0]] == owner[p.b[0]] for p in elsewhere),
        "others that do not follow": sum(p.a[-1] + 1 != p.b[0] for p in follows),
    }
