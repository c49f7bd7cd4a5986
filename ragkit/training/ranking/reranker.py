"""Recipe of the reranker: a cross-encoder, by sentence-transformers' CrossEncoderTrainer and its losses.

Ours are the data (`ranking_data`), the batches, bfloat16 with float32 weights, checkpoints that are
safetensors and survive kill -9 (`journal`), and the scores of held-out questions.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from datasets import Dataset
from sentence_transformers import CrossEncoder, CrossEncoderTrainer, CrossEncoderTrainingArguments
from sentence_transformers.base.sampler import DefaultBatchSampler
from torch import nn
from torch.utils.data import SequentialSampler
from transformers import PrinterCallback

from ragkit.errors import RagkitError
from ragkit.evaluation.metrics import evaluate_run
from ragkit.evaluation.runs import Qrels, Run
from ragkit.generation.loading import WEIGHTS
from ragkit.retrieval.pair_scores import PairScorer
from ragkit.runtime.precision import computes_bf16
from ragkit.training.answering.reader import packaged_encoder
from ragkit.training.checkpoint import save_model
from ragkit.training.journal import Journal, Pace
from ragkit.training.loop import learning_rate_factor
from ragkit.training.ranking.data import (
    RankedList,
    draw_lists,
    plan_batches,
    read_ranking_set,
)
from ragkit.training.ranking.losses import LossName, columns, ranking_loss
from ragkit.training.ranking.model import HalfPrecisionScores, build_cross_encoder
from ragkit.training.recipe import OnEvent, TrainingResult
from ragkit.training.retrieval.data import RetrievalSet, split_held_out

FREE = ("log_every", "validate_every", "checkpoint_minutes")
"""Settings that may change when a run goes on: they do not change what is trained."""
MEASURES = ["nDCG@10", "RR@10"]
STARTS = {"packaged": packaged_encoder, "reader": lambda: str(WEIGHTS / "reader")}


@dataclass(frozen=True, slots=True)
class RerankerSettings:
    """How a reranker is trained.

    `model` is where it starts: "packaged", the MiniLM of the encoder; "reader", the packaged reader, which
    has learnt to find answers; or a folder. Its embeddings and `frozen_layers` lowest layers stay as they
    are. A step shows `batch` questions, each with one relevant passage and `negatives` others; a pair is cut
    to `max_tokens`. The learning rate rises linearly over the first `warm_up` share of the steps and falls
    linearly to 0. `questions` of each set are taken at most; of each, `held_out` questions on articles never
    trained on have their passages ranked.
    """

    model: str = "packaged"
    loss: LossName = "listmle"
    negatives: int = 5
    batch: int = 8
    max_tokens: int = 224
    frozen_layers: int = 1
    learning_rate: float = 1e-4
    epochs: float = 1.0
    max_steps: int | None = None
    warm_up: float = 0.1
    weight_decay: float = 0.01
    max_gradient_norm: float = 1.0
    questions: int | None = None
    held_out: int = 200
    validate_every: int = 500
    log_every: int = 20
    checkpoint_minutes: float = 5.0
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    seed: int = 0


def train_reranker(
    data: Sequence[str | Path],
    out: Path,
    settings: RerankerSettings | None = None,
    on_event: OnEvent | None = None,
    split: str | None = None,
) -> TrainingResult:
    """Trains a reranker and saves it, with its tokenizer, in `out/model`, where `load_reranker` finds it.

    A run that was stopped goes on where it was. In `out`: `model/`, `checkpoint/`, `log.jsonl`, `curve.png`.

    Args:
        data: DPR JSON with hard negatives (as `ragkit mine` writes it), SQuAD JSON, BEIR folders; the last
            two get BM25's negatives.
        split: of BEIR folders, by default `train`.

    Raises:
        RagkitError: on unreadable data or model, a run in `out` with other settings or data, or a loss that
            is no longer a number.
    """
    settings = settings or RerankerSettings()
    sets = [read_ranking_set(path, split, settings.questions) for path in data]
    parts = [split_held_out(one, settings.held_out) for one in sets]
    torch.manual_seed(settings.seed)
    folder = STARTS[settings.model]() if settings.model in STARTS else settings.model
    cross = build_cross_encoder(folder, settings.max_tokens, settings.frozen_layers)
    batches = Batches([learnt for learnt, _ in parts], settings)
    scorer = PairScorer(cross.model, cross.tokenizer, settings.max_tokens, runtime="torch")
    held = HeldOut([held for _, held in parts], scorer)
    scores = _train(cross, batches, held, out, settings, on_event)
    cross.model.set_attn_implementation("eager")
    save_model(out / "model", cross.model, cross.tokenizer)
    epochs = batches.total / batches.per_epoch
    return TrainingResult(out / "model", batches.total, epochs, scores, False)


class Batches:
    """The batches of all epochs by their number, each epoch planned when it is reached."""

    def __init__(self, sets: Sequence[RetrievalSet], settings: RerankerSettings) -> None:
        self._sets, self._settings = sets, settings
        self._epoch, self._begin = 0, 0
        self._planned = self._plan()
        self.per_epoch = len(self._planned)
        if not self.per_epoch:
            raise RagkitError("nothing to train on: no question has a passage that does not answer it")
        self.total = settings.max_steps or math.ceil(self.per_epoch * settings.epochs)

    def __getitem__(self, number: int) -> list[RankedList]:
        """Numbers may only grow from one call to the next."""
        while number >= self._begin + len(self._planned):
            self._begin += len(self._planned)
            self._epoch += 1
            self._planned = self._plan()
        return self._planned[number - self._begin]

    @property
    def fingerprint(self) -> str:
        """Of what must be the same for a run to go on."""
        digest = hashlib.sha256()
        for data in self._sets:
            for example in data.examples:
                digest.update(f"{example.question}\n{example.positives}{example.negatives}\n".encode())
        settings = {f.name: getattr(self._settings, f.name) for f in fields(self._settings)}
        fixed = {name: value for name, value in settings.items() if name not in FREE}
        digest.update(json.dumps(fixed, sort_keys=True).encode())
        return digest.hexdigest()[:16]

    def _plan(self) -> list[list[RankedList]]:
        rng = np.random.default_rng((self._settings.seed, self._epoch))
        lists = draw_lists(self._sets, self._settings.negatives, rng)
        return plan_batches(lists, self._settings.batch, rng)


class HeldOut:
    """Questions never trained on, with all their passages."""

    def __init__(self, sets: Sequence[RetrievalSet], scorer: PairScorer) -> None:
        self._lists = [
            RankedList(data, example.question, (*example.positives, *example.negatives))
            for data in sets
            for example in data.examples
        ]
        self._relevant = [len(example.positives) for data in sets for example in data.examples]
        self._scorer = scorer

    def scores(self) -> dict[str, float]:
        """Means of `values`; nothing where nothing is held out."""
        return {name: float(column.mean()) for name, column in self.values().items()}

    def values(self) -> dict[str, npt.NDArray[np.float64]]:
        """nDCG@10 and RR@10 of each question's passages by their logits, (questions,) each."""
        if not self._lists:
            return {}
        logits = self._scorer.logits([(one.question, text) for one in self._lists for text in one.texts])
        ends = np.cumsum([len(one.passages) for one in self._lists])
        run: Run = {}
        qrels: Qrels = {}
        for at, of_list in enumerate(np.split(logits, ends[:-1])):
            run[str(at)] = {str(i): float(score) for i, score in enumerate(of_list)}
            qrels[str(at)] = {str(i): 1 for i in range(self._relevant[at])}
        return evaluate_run(run, qrels, MEASURES)


def _train(
    cross: CrossEncoder,
    batches: Batches,
    held: HeldOut,
    out: Path,
    settings: RerankerSettings,
    on_event: OnEvent | None,
) -> dict[str, float]:
    optimizer = torch.optim.AdamW(_groups(cross, settings), lr=settings.learning_rate, fused=True)
    pace = Pace(settings.log_every, settings.validate_every, settings.checkpoint_minutes, settings.seed)
    total, fingerprint = batches.total, batches.fingerprint
    journal = Journal(cross, optimizer, out, total, fingerprint, held.scores, on_event, pace)
    start = journal.begin()
    if start < total:
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_factor(start + step, total, settings.warm_up)
        )
        trainer = _Trainer(
            model=cross,
            args=_arguments(out, total - start, settings, cross.device),
            train_dataset=_dataset(batches, start, settings.loss),
            loss=_loss(cross, settings),
            callbacks=[journal],
            optimizers=(optimizer, scheduler),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return journal.end()


def _loss(cross: CrossEncoder, settings: RerankerSettings) -> nn.Module:
    loss = ranking_loss(cross, settings.loss)
    native = computes_bf16(cross.device)
    if settings.precision == "bf16" or (settings.precision == "auto" and native):
        loss.model = HalfPrecisionScores(cross)
    return loss


def _groups(model: nn.Module, settings: RerankerSettings) -> list[dict[str, Any]]:
    """Biases and norms are not decayed."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _arguments(
    out: Path, steps: int, settings: RerankerSettings, device: torch.device
) -> CrossEncoderTrainingArguments:
    return CrossEncoderTrainingArguments(
        output_dir=str(out),
        max_steps=steps,
        per_device_train_batch_size=1,  # a row of the data set is a batch
        batch_sampler=_in_order,
        use_cpu=device.type == "cpu",
        max_grad_norm=settings.max_gradient_norm,
        seed=settings.seed,
        save_strategy="no",
        logging_strategy="no",
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=device.type == "cuda",
    )


def _dataset(batches: Batches, start: int, loss: LossName) -> Dataset:
    """A row a batch, in the order of training; its texts are put together when it is its turn."""

    def texts(rows: dict[str, list[int]]) -> dict[str, list[Any]]:
        (number,) = rows["batch"]
        return columns(loss, batches[number])

    dataset = Dataset.from_dict({"batch": list(range(start, batches.total))})
    dataset.set_transform(texts)
    return dataset


def _in_order(dataset: Dataset, batch_size: int, drop_last: bool, **_: Any) -> DefaultBatchSampler:
    return DefaultBatchSampler(SequentialSampler(dataset), batch_size=batch_size, drop_last=drop_last)


class _Trainer(CrossEncoderTrainer):
    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """None: it would read through the data set for a card."""
