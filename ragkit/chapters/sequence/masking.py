"""Row 96: what is masked and how often, and a small BERT that learns it from passages of SQuAD."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.sequence.bert import pretraining_error
from ragkit.chapters.sequence.tokens import squad_passages
from ragkit.encoders.loading import packaged_folder
from ragkit.models.sequence.bert import BertConfig
from ragkit.models.sequence.bert_pretraining import IGNORED, BertForPretraining
from ragkit.models.sequence.masked_tokens import Masking, Selection, mask_tokens
from ragkit.training.pretraining.mlm import MlmRecipe, MlmSettings
from ragkit.training.pretraining.mlm_data import Text, hold_out, tokenise, train_word_pieces
from ragkit.training.recipe import LoopSettings, Recipe

MASK, PIECES = 103, 30522
"""[MASK] and the number of pieces of bert-base-uncased."""
CONVENTIONS: tuple[Selection, ...] = ("token", "sequence")


@dataclass(frozen=True, kw_only=True)
class TinyMlm(Experiment):
    """`ragkit train mlm` at a size that learns in two minutes: no dropout, short sequences, few pieces.

    Fewer steps leave it on the plateau where every MLM begins, at the unigram: 300 got 0.02 nats below.
    """

    pieces: int = 4000
    width: int = 128
    layers: int = 2
    heads: int = 4
    tokens: int = 64
    batch_tokens: int = 4096
    passages: int = 6000
    loop: LoopSettings = LoopSettings(learning_rate=2e-3, max_steps=500, validate_every=250, warm_up=0.1)

    def recipe(self) -> Recipe:
        tokenizer, train, held = self.text()
        config = BertConfig(
            len(tokenizer), self.width, self.layers, self.heads, 4 * self.width, self.tokens, dropout=0.0
        )
        settings = MlmSettings(loop=self.loop, max_tokens=self.tokens, batch_tokens=self.batch_tokens)
        return MlmRecipe(BertForPretraining(config, next_sentence=False), tokenizer, train, held, settings)

    def text(self) -> tuple[Any, list[Text], list[Text]]:
        """The tokenizer, learnt from these passages, and the tokens to learn from and to test on."""
        passages = squad_passages(self.passages)
        tokenizer = train_word_pieces(passages, self.pieces)
        return tokenizer, *hold_out(tokenise(passages, tokenizer), 50_000, self.loop.seed)

    def guesses(self) -> tuple[float, float]:
        """Of the held-out tokens: nats a token under the training part's frequencies, one added to each, and
        the share of the most frequent one."""
        tokenizer, train, held = self.text()
        counts, truth = (_counts(texts, len(tokenizer)) for texts in (train, held))
        nats = -np.log((counts + 1) / (counts + 1).sum())
        return float((truth * nats).sum() / truth.sum()), float(truth[counts.argmax()] / truth.sum())


def _counts(texts: Sequence[Text], pieces: int) -> Any:
    return np.bincount(np.concatenate(list(chain(*texts))), minlength=pieces)


def masked() -> dict[str, float | list[float]]:
    """Row 96."""
    experiment = TinyMlm()
    reached = over_seeds(experiment)
    guesses = [experiment.with_seed(seed).guesses() for seed in (0, 1, 2)]
    return {
        "rates off by, points": rates_off(),
        "rates off the collator's, points": rates_off_collator(),
        "special tokens picked, labels elsewhere": strays(),
        "off BertForPreTraining": pretraining_error(),
        "nats below the unigram": [u - loss for (u, _), loss in zip(guesses, reached["loss"], strict=True)],
        "accuracy / the top piece's": [
            right / top for (_, top), right in zip(guesses, reached["accuracy"], strict=True)
        ],
    }


def million(selection: Selection) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """1,008,000 tokens that may be masked and 16,000 that may not; corrupted ones and labels."""
    generator = torch.Generator().manual_seed(7)
    tokens = torch.randint(1000, PIECES, (8000, 128), generator=generator)
    maskable = torch.ones_like(tokens, dtype=torch.bool)
    maskable[:, [0, -1]] = False
    corrupted, labels = mask_tokens(
        tokens, maskable, Masking(MASK, PIECES, selection=selection), generator=generator
    )
    return tokens, maskable, corrupted, labels


def shares(tokens: Tensor, corrupted: Tensor, labels: Tensor, among: Tensor) -> Tensor:
    """Of the tokens `among`: selected, hidden, replaced by another one, selected but left."""
    chosen = (labels != IGNORED)[among]
    hidden, kept = (corrupted == MASK)[among], (corrupted == tokens)[among]
    return torch.stack([x.double().mean() for x in (chosen, hidden, ~hidden & ~kept, chosen & kept)])


def rates_off() -> float:
    """The largest difference to 15 % and its 80/10/10, in points, of drawing each token and of choosing from
    each sequence."""
    wanted = 0.15 * torch.tensor([1, 0.8, 0.1, 0.1])
    found = []
    for selection in CONVENTIONS:
        tokens, maskable, corrupted, labels = million(selection)
        found.append((shares(tokens, corrupted, labels, maskable) - wanted).abs().max())
    return 100 * float(torch.stack(found).max())


def rates_off_collator() -> float:
    """The same shares of transformers' collator, on rows with real special tokens, in points."""
    from transformers import AutoTokenizer, DataCollatorForLanguageModeling

    tokenizer = AutoTokenizer.from_pretrained(packaged_folder())
    tokens, maskable, corrupted, labels = million("token")
    rows = tokens.clone()
    rows[:, 0], rows[:, -1] = tokenizer.cls_token_id, tokenizer.sep_token_id
    theirs = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15, seed=3)(
        [{"input_ids": row} for row in rows]
    )
    other = shares(rows, theirs["input_ids"], theirs["labels"], maskable)
    return 100 * float((shares(tokens, corrupted, labels, maskable) - other).abs().max())


def strays() -> int:
    """Selected tokens that may not be, changed ones without a label, and labels that are not the token."""
    wrong = 0
    for selection in CONVENTIONS:
        tokens, maskable, corrupted, labels = million(selection)
        chosen = labels != IGNORED
        stray = (chosen & ~maskable) | (~chosen & (corrupted != tokens)) | (chosen & (labels != tokens))
        wrong += int(stray.sum())
    return wrong
