"""Recipe of masked language modelling, with next sentence prediction on request (Devlin et al. 2019, 3.1)."""

import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from torch import Tensor, nn

from ragkit.encoders.loading import PACKAGED, packaged_folder
from ragkit.errors import RagkitError
from ragkit.models.sequence.bert import BertConfig
from ragkit.models.sequence.bert_pretraining import BertForPretraining, PretrainingLosses
from ragkit.models.sequence.bert_weights import load_pretraining, save_pretraining
from ragkit.models.sequence.masked_tokens import Masking, mask_tokens
from ragkit.training.answering.data import token_batches
from ragkit.training.loop import train
from ragkit.training.pretraining.mlm_data import (
    MaskedBatch,
    MaskedSequence,
    Text,
    collate,
    digest,
    hold_out,
    packed,
    paired,
    read_texts,
    tokenise,
    train_word_pieces,
)
from ragkit.training.recipe import LoopSettings, OnEvent, Recipe, TrainingResult

PACKAGED_BERT = Path(__file__).parents[2] / "weights" / "bert"
"""The BERT that comes with ragkit, `model="bert"`."""

FROM_SCRATCH = LoopSettings(learning_rate=5e-4, epochs=10.0, warm_up=0.1, validate_every=1000)
ADAPTING = replace(FROM_SCRATCH, learning_rate=5e-5, epochs=3.0)
"""Gentler, for a model that has learnt a language already."""


@dataclass(frozen=True, slots=True)
class MlmSettings:
    """What is pretrained and how, next to the loop's settings.

    `model`, the folder of a BERT, "bert" (ours) or "packaged" (the encoder), is trained further (`ADAPTING`
    is the loop for that); without it one of `layers` x `width` starts from random weights. `tokenizer` is a
    folder, too; without it and without a model, one of `vocabulary` pieces is learnt from the corpus. `rate`
    is the share of tokens to predict. `held_out` tokens, at most a tenth of all, validate.
    """

    loop: LoopSettings = FROM_SCRATCH
    model: str | None = None
    tokenizer: str | None = None
    vocabulary: int = 16000
    layers: int = 4
    width: int = 256
    dropout: float = 0.1
    max_tokens: int = 128
    batch_tokens: int = 8192
    rate: float = 0.15
    whole_words: bool = False
    next_sentence: bool = False
    held_out: int = 50_000


class MlmRecipe(Recipe):
    """Batches of sequences, masked anew each time they are shown.

    Args:
        texts, held: tokenised documents to learn from and to validate on.

    Raises:
        RagkitError: if nothing is held out, next sentences are asked for and there are none, or whole words
            with a tokenizer that does not mark the pieces which go on a word by ##.
    """

    def __init__(
        self,
        model: BertForPretraining,
        tokenizer: Any,
        texts: Sequence[Text],
        held: Sequence[Text],
        settings: MlmSettings,
    ) -> None:
        self.model, self.settings = model, settings
        self._tokenizer, self._texts = tokenizer, texts
        self._masking = Masking(tokenizer.mask_token_id, len(tokenizer), settings.rate)
        self._special = torch.tensor(tokenizer.all_special_ids)
        pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        self._goes_on = torch.tensor([piece.startswith("##") for piece in pieces])
        if settings.whole_words and not self._goes_on.any():
            raise RagkitError(
                "whole words need a WordPiece tokenizer, whose pieces within a word begin with ##"
            )
        self._sequences = None if settings.next_sentence else packed(texts, settings.max_tokens, tokenizer)
        held_sequences = self._held_sequences(held)
        if not held_sequences:
            raise RagkitError("the corpus is too small: no sentence could be held out to validate on")
        self._held = self._grouped(held_sequences, np.random.default_rng(0))

    def batches(self, epoch: int) -> Sequence[list[MaskedSequence]]:
        rng = np.random.default_rng((self.settings.loop.seed, epoch))
        sequences = self._sequences
        if sequences is None:
            sequences = paired(self._texts, self.settings.max_tokens, self._tokenizer, rng)
        return self._grouped(sequences, rng)

    def step(self, model: nn.Module, batch: list[MaskedSequence]) -> dict[str, Tensor]:
        # The loop seeds torch's generator from (seed, step): the masks of a step are always the same.
        losses = self._losses(model, collate(batch, self._tokenizer.pad_token_id), None)
        return {"loss": losses.total, "accuracy": losses.right / losses.predicted.clamp(min=1)}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Mean loss of a masked token in nats, its perplexity, accuracy; accuracy on sentence pairs."""
        generator = torch.Generator().manual_seed(0)
        masked, right, predicted, pairs, rows = 0.0, 0, 0, 0.0, 0
        for sequences in self._held:
            batch = collate(sequences, self._tokenizer.pad_token_id)
            losses = self._losses(model, batch, generator)
            count = int(losses.predicted)
            masked += float(losses.masked) * count
            right, predicted = right + int(losses.right), predicted + count
            pairs, rows = pairs + float(losses.pairs_right), rows + len(sequences)
        loss = masked / max(1, predicted)
        scores = {"loss": loss, "perplexity": math.exp(loss), "accuracy": right / max(1, predicted)}
        return scores | ({"next_accuracy": pairs / rows} if self.settings.next_sentence else {})

    def _losses(
        self, model: nn.Module, batch: MaskedBatch, generator: torch.Generator | None
    ) -> PretrainingLosses:
        maskable = batch.real.bool() & ~torch.isin(batch.tokens, self._special)
        words = (~self._goes_on[batch.tokens]).cumsum(1) if self.settings.whole_words else None
        tokens, labels = mask_tokens(batch.tokens, maskable, self._masking, words, generator)
        device = next(model.parameters()).device
        given = (tokens, labels, batch.real, batch.segments, batch.following)
        losses: PretrainingLosses = model(*(x if x is None else x.to(device) for x in given))
        return losses

    def _held_sequences(self, held: Sequence[Text]) -> list[MaskedSequence]:
        if not self.settings.next_sentence or not held:
            return packed(held, self.settings.max_tokens, self._tokenizer)
        try:
            return paired(held, self.settings.max_tokens, self._tokenizer, np.random.default_rng(0))
        except RagkitError as error:
            raise RagkitError(f"too little text was held out to validate on: {error}") from error

    def _grouped(
        self, sequences: list[MaskedSequence], rng: np.random.Generator
    ) -> list[list[MaskedSequence]]:
        lengths = np.array([len(sequence.tokens) for sequence in sequences])
        batches = token_batches(lengths, self.settings.batch_tokens, rng)
        return [[sequences[row] for row in batch] for batch in batches]


def train_mlm(
    sources: Sequence[str | Path],
    out: Path,
    settings: MlmSettings | None = None,
    on_event: OnEvent | None = None,
) -> TrainingResult:
    """Pretrains a BERT, or goes on pretraining one, and saves it with its tokenizer in `out/model`, where
    transformers (`AutoModelForMaskedLM`) and sentence-transformers load it.

    Args:
        sources: what `read_documents` reads, and folders of indexes, whose passages are taken.

    Raises:
        RagkitError: if there is too little text, tokenizer and model do not fit each other, or `out` holds
            a run with other settings or data.
    """
    settings = settings or MlmSettings()
    if settings.model in (PACKAGED, "bert"):
        folder = packaged_folder() if settings.model == PACKAGED else PACKAGED_BERT
        settings = replace(settings, model=str(folder))
    torch.manual_seed(settings.loop.seed)
    documents = list(read_texts(sources))
    tokenizer = _tokenizer(documents, settings)
    model = _model(tokenizer, settings)
    texts, held = hold_out(tokenise(documents, tokenizer), settings.held_out, settings.loop.seed)
    recipe = MlmRecipe(model, tokenizer, texts, held, settings)
    result = train(recipe, out, settings.loop, on_event, [asdict(settings), digest(texts), digest(held)])
    if PartialState().is_main_process:
        _save(model, tokenizer, settings, out)
    return result


def _tokenizer(documents: Sequence[str], settings: MlmSettings) -> Any:
    """The given one, else the model's, else one learnt from the documents."""
    from transformers import AutoTokenizer

    folder = settings.tokenizer or settings.model
    if folder is None:
        return train_word_pieces(documents, settings.vocabulary)
    if not Path(folder).is_dir():
        raise RagkitError(f"{folder}: no such folder")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise RagkitError(f"{folder}: no tokenizer: {str(error).splitlines()[0]}") from error
    lacking = [
        name for name in ("mask", "cls", "sep", "pad") if getattr(tokenizer, f"{name}_token_id") is None
    ]
    if lacking or not tokenizer.is_fast:
        raise RagkitError(f"{folder}: a tokenizer with mask, cls, sep and pad tokens is needed, as BERT has")
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


def _model(tokenizer: Any, settings: MlmSettings) -> BertForPretraining:
    if settings.model is None:
        if settings.width % 64:
            raise RagkitError(f"width {settings.width}: it must be a multiple of 64, the size of a head")
        config = BertConfig(
            vocabulary=len(tokenizer),
            width=settings.width,
            layers=settings.layers,
            heads=settings.width // 64,
            inner=4 * settings.width,
            positions=max(512, settings.max_tokens),
            dropout=settings.dropout,
            padding_token=tokenizer.pad_token_id,
        )
        return BertForPretraining(config, settings.next_sentence)
    model = load_pretraining(settings.model, settings.next_sentence or None)
    size, positions = model.bert.config.vocabulary, model.bert.config.positions
    if len(tokenizer) > size or (settings.tokenizer and len(tokenizer) != size):
        raise RagkitError(
            f"the tokenizer has {len(tokenizer)} pieces, {settings.model} has vectors for {size}: "
            "train with the model's own tokenizer"
        )
    if settings.max_tokens > positions:
        raise RagkitError(f"--max-tokens {settings.max_tokens}: {settings.model} has {positions} positions")
    return model


def _save(model: BertForPretraining, tokenizer: Any, settings: MlmSettings, out: Path) -> None:
    """Replaces `out/model` by a folder that was written completely."""
    aside, final = out / ".writing-model", out / "model"
    shutil.rmtree(aside, ignore_errors=True)
    save_pretraining(model, aside)
    # A longer text would meet vectors of positions that were never trained.
    known = tokenizer.model_max_length if settings.model else 0
    tokenizer.model_max_length = min(model.bert.config.positions, max(known, settings.max_tokens))
    tokenizer.save_pretrained(aside)
    shutil.rmtree(final, ignore_errors=True)
    aside.rename(final)
