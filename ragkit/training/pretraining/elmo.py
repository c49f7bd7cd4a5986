"""Recipe of ELMo: a bidirectional language model over characters (Peters et al. 2018, 3.1-3.4)."""

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

from ragkit.errors import RagkitError
from ragkit.models.sequence.bilm import BilmConfig, BiState
from ragkit.models.sequence.elmo import Elmo
from ragkit.training.loop import train
from ragkit.training.pretraining.elmo_data import BEGIN, Row, WordCorpus, collate, streams, word_corpus
from ragkit.training.pretraining.mlm_data import digest, read_texts
from ragkit.training.recipe import LoopSettings, OnEvent, Recipe, TrainingResult

LOOP = LoopSettings(learning_rate=2e-3, epochs=3.0, precision="fp32", validate_every=1000)
RESTART = 0.05
"""Share of the rows that forget the state before them, as texts to embed are read from none."""


@dataclass(frozen=True, slots=True)
class ElmoSettings:
    """What is trained and how, next to the loop's settings.

    `width` is a direction's: vectors are twice as wide. A training step compares each word with `samples`
    others out of the `vocabulary` (0: with all). A batch has `rows` streams of text and takes at most
    `row_words` from each. `held_out` words, at most a tenth of all, validate. `half`: saved in float16.
    """

    loop: LoopSettings = LOOP
    width: int = 128
    cells: int = 512
    layers: int = 2
    dropout: float = 0.1
    vocabulary: int = 20_000
    samples: int = 2_000
    rows: int = 32
    row_words: int = 64
    held_out: int = 50_000
    half: bool = False


class CarriedElmo(nn.Module):
    """An ELMo in training with the state that its next batch starts from, kept in every checkpoint."""

    outputs: Tensor
    cells: Tensor

    def __init__(self, elmo: Elmo, rows: int) -> None:
        super().__init__()
        self.elmo = elmo
        config = elmo.bilm.config
        self.register_buffer("outputs", torch.zeros(config.layers, 2, rows, config.width))
        self.register_buffer("cells", torch.zeros(config.layers, 2, rows, config.cells))

    def forward(self, characters: Tensor, lengths: Tensor, words: Tensor, fresh: Tensor) -> Tensor:
        """Mean loss of both directions, in nats a word; the rows that are `fresh` (rows,) start from zero."""
        go_on = ~fresh[:, None]
        dtype = next(self.elmo.parameters()).dtype
        h, c = (x.mul(go_on).to(dtype) for x in (self.outputs, self.cells))
        state = [((h[n, 0], c[n, 0]), (h[n, 1], c[n, 1])) for n in range(len(h))]
        forwards, backwards, state = self.elmo.bilm.losses(characters, lengths, words, state)
        self._keep(state)
        return (forwards + backwards) / 2

    def forget(self) -> None:
        self.outputs.zero_()
        self.cells.zero_()

    def _keep(self, state: BiState) -> None:
        for n, layer in enumerate(state):
            for side, (h, c) in enumerate(layer):
                self.outputs[n, side].copy_(h)
                self.cells[n, side].copy_(c)


class ElmoRecipe(Recipe):
    """Streams of text, a batch the next stretch of each."""

    model: CarriedElmo

    def __init__(self, elmo: Elmo, corpus: WordCorpus, settings: ElmoSettings) -> None:
        self.corpus, self.settings = corpus, settings
        # A small corpus has fewer rows than a batch: then each is a stream.
        available = min(
            sum(len(s) for text in texts for s in text) // settings.row_words
            for texts in (corpus.train, corpus.held)
        )
        self._rows = max(1, min(settings.rows, available))
        self.model = CarriedElmo(elmo, self._rows)
        self._held = streams(corpus.held, settings.row_words, self._rows)
        self._unigram = corpus.unigram()

    def batches(self, epoch: int) -> Sequence[list[Row]]:
        order = np.random.default_rng((self.settings.loop.seed, epoch)).permutation(len(self.corpus.train))
        return streams([self.corpus.train[at] for at in order], self.settings.row_words, self._rows)

    def step(self, model: nn.Module, batch: list[Row]) -> dict[str, Tensor]:
        # The loop seeds torch's generator from (seed, step): the rows that restart are always the same.
        return {"loss": self._loss(model, batch, torch.rand(len(batch)) < RESTART)}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Loss in nats a word over both directions, full softmax; its perplexity and the unigram's."""
        carried = self.model.outputs.clone(), self.model.cells.clone()
        self.model.forget()
        total, count = 0.0, 0
        for batch in self._held:
            # Each direction predicts all words of a sentence but the end that it comes from.
            predicted = sum(len(row.ids) - int((row.ids == BEGIN).sum()) for row in batch)
            total += float(self._loss(model, batch, torch.zeros(len(batch), dtype=torch.bool))) * predicted
            count += predicted
        self.model.outputs.copy_(carried[0])
        self.model.cells.copy_(carried[1])
        loss = total / count
        return {
            "loss": loss,
            "perplexity": math.exp(loss),
            "unigram_perplexity": math.exp(self._unigram),
        }

    def _loss(self, model: nn.Module, batch: list[Row], restart: Tensor) -> Tensor:
        ids, lengths = collate(batch)
        fresh = torch.tensor([row.first for row in batch]) | restart
        given = (self.corpus.characters[ids].long(), lengths, self.corpus.predicted(ids), fresh)
        device = next(model.parameters()).device
        loss: Tensor = model(*(x.to(device) for x in given))
        return loss


def train_elmo(
    sources: Sequence[str | Path],
    out: Path,
    settings: ElmoSettings | None = None,
    on_event: OnEvent | None = None,
) -> TrainingResult:
    """Trains an ELMo and saves it in `out/model`, where `Elmo.load` and the encoder "elmo:out/model" find it.

    The state is carried from batch to batch within a document and is part of a checkpoint.

    Args:
        sources: what `read_documents` reads, and folders of indexes, whose passages are taken.

    Raises:
        RagkitError: if there is too little text, `out` holds a run with other settings or data, or several
            processes are started.
    """
    settings = settings or ElmoSettings()
    if PartialState().num_processes > 1:
        raise RagkitError("an ELMo is trained by one process, which carries the state from batch to batch")
    torch.manual_seed(settings.loop.seed)
    config = BilmConfig(
        width=settings.width, cells=settings.cells, layers=settings.layers, dropout=settings.dropout
    )
    corpus = word_corpus(
        read_texts(sources),
        settings.vocabulary,
        settings.row_words,
        config.word_length,
        settings.held_out,
        settings.loop.seed,
    )
    elmo = Elmo(_with_softmax(config, len(corpus.vocabulary), settings.samples), corpus.vocabulary)
    identity: list[Any] = [asdict(settings), digest(corpus.train), digest(corpus.held)]
    result = train(ElmoRecipe(elmo, corpus, settings), out, settings.loop, on_event, identity)
    _save(elmo, settings.half, out)
    return result


def _with_softmax(config: BilmConfig, vocabulary: int, samples: int) -> BilmConfig:
    """Of a vocabulary that is not larger than the samples, all words are compared."""
    return replace(config, vocabulary=vocabulary, samples=samples if 0 < samples < vocabulary else None)


def _save(elmo: Elmo, half: bool, out: Path) -> None:
    """Replaces `out/model` by a folder that was written completely."""
    aside, final = out / ".writing-model", out / "model"
    shutil.rmtree(aside, ignore_errors=True)
    elmo.save(aside, half)
    shutil.rmtree(final, ignore_errors=True)
    aside.rename(final)
