"""One run of sentence-transformers' trainer over a dual encoder's towers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.base.modules import Router
from sentence_transformers.base.sampler import DefaultBatchSampler
from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator
from torch import Tensor
from torch.utils.data import SequentialSampler
from transformers import PrinterCallback

from ragkit.encoders.sentence import passage_text
from ragkit.models.precision import computes_bf16
from ragkit.training.journal import Journal, Pace
from ragkit.training.loop import learning_rate_factor
from ragkit.training.recipe import OnEvent
from ragkit.training.retrieval.data import Batch, RetrievalSet
from ragkit.training.retrieval.losses import columns, retrieval_loss
from ragkit.training.retrieval.plan import Batches, DualEncoderSettings
from ragkit.training.retrieval.scores import HeldOut
from ragkit.training.retrieval.towers import Towers


def train_towers(
    towers: Towers,
    batches: Batches,
    held: Sequence[RetrievalSet],
    out: Path,
    settings: DualEncoderSettings,
    on_event: OnEvent | None,
) -> dict[str, float]:
    """Trains `towers.model` in place, from where the checkpoint in `out` stands, and mixes the start in.

    Returns the held-out scores of what came of it, and "before" those of the start; none where nothing is
    held out.
    """
    model, held_out = towers.model, HeldOut(held, settings.pool)
    passages = dict.fromkeys(held_out.passages()) | dict.fromkeys(batches.passages())
    towers.put(list(passages), [passage_text(*passage) for passage in passages])
    started = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}

    def scores() -> dict[str, float]:
        return held_out.scores(model) if held_out else {}

    before = scores()
    optimizer = torch.optim.AdamW(_groups(model, settings), lr=settings.learning_rate, fused=True)
    pace = Pace(settings.log_every, settings.validate_every, settings.checkpoint_minutes, settings.seed)
    journal = Journal(model, optimizer, out, batches.total, batches.fingerprint, scores, on_event, pace)
    start = journal.begin()
    if not start and before:
        journal.emit({"event": "validate", "step": 0} | before)
    if start < batches.total:
        _train(towers, batches, start, out, settings, optimizer, journal)
    _mix(model, started, settings.keep)
    model.eval()
    return journal.end() | {f"{name} before": value for name, value in before.items()}


def _train(
    towers: Towers,
    batches: Batches,
    start: int,
    out: Path,
    settings: DualEncoderSettings,
    optimizer: torch.optim.Optimizer,
    journal: Journal,
) -> None:
    model, total = towers.model, batches.total
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_factor(start + step, total, settings.warm_up)
    )
    trainer = _Trainer(
        model=model,
        args=_arguments(model.device, out, total - start, settings),
        train_dataset=Dataset.from_dict({"batch": list(range(start, total))}),
        data_collator=_collator(model, batches, settings),
        loss=_loss(model, settings),
        callbacks=[journal],
        optimizers=(optimizer, scheduler),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    # The trainer wrapped the model's forward in autocast; what is saved and scored is the model itself.
    trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)


def _loss(model: Any, settings: DualEncoderSettings) -> torch.nn.Module:
    s = settings
    return retrieval_loss(model, s.loss, s.scale, s.margin, s.mini_batch, s.group)


def _mix(model: torch.nn.Module, started: dict[str, Tensor], keep: float) -> None:
    """w = keep * start + (1 - keep) * trained."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in started:
                parameter.lerp_(started[name].to(parameter.device), keep)


def _arguments(
    device: torch.device, out: Path, steps: int, settings: DualEncoderSettings
) -> SentenceTransformerTrainingArguments:
    precision = settings.precision
    return SentenceTransformerTrainingArguments(
        output_dir=str(out),
        max_steps=steps,
        per_device_train_batch_size=1,  # a row of the data set is a batch
        batch_sampler=_in_order,
        bf16=computes_bf16(device) if precision == "auto" else precision == "bf16",
        use_cpu=device.type == "cpu",
        max_grad_norm=1.0,
        seed=settings.seed,
        save_strategy="no",
        logging_strategy="no",
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=device.type == "cuda",
    )


def _groups(model: torch.nn.Module, settings: DualEncoderSettings) -> list[dict[str, Any]]:
    """Biases and norms are not decayed."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _collator(model: Any, batches: Batches, settings: DualEncoderSettings) -> "_Collator":
    tasks = {"question": "query", "passage": "document"}
    tasks |= {f"question_{rank}": "query" for rank in range(1, settings.group + 1)}
    tasks |= {f"negative_{rank}": "document" for rank in range(1, settings.negatives + 1)}
    own = model.prompts
    of_passages = next((own[name] for name in ("document", "passage", "corpus") if name in own), "")
    prompts = {"query": own.get("query", ""), "document": of_passages}
    return _Collator(
        lambda number: _rows(batches[number], settings),
        preprocess_fn=model.preprocess,
        router_mapping=tasks if isinstance(model[0], Router) else {},
        prompts={column: prompts[task] for column, task in tasks.items() if prompts[task]},
    )


def _rows(batch: Batch, settings: DualEncoderSettings) -> list[dict[str, Any]]:
    """A batch in the columns that the loss takes."""

    def text(at: int) -> str:
        return passage_text(*batch.data.passages[at])

    questions = [row.questions for row in batch.rows]
    positives = [text(row.positive) for row in batch.rows]
    return columns(
        settings.loss, questions, positives, [tuple(map(text, row.negatives)) for row in batch.rows]
    )


class _Collator(SentenceTransformerDataCollator):
    """Puts a batch's texts together when it is its turn: a row of the data set is a batch's number."""

    def __init__(self, rows: Callable[[int], list[dict[str, Any]]], **settings: Any) -> None:
        super().__init__(**settings)
        self._rows = rows

    def __call__(self, features: list[dict[str, int]]) -> dict[str, Any]:
        (feature,) = features
        return super().__call__(self._rows(feature["batch"]))


def _in_order(dataset: Dataset, batch_size: int, drop_last: bool, **_: Any) -> DefaultBatchSampler:
    return DefaultBatchSampler(SequentialSampler(dataset), batch_size=batch_size, drop_last=drop_last)


class _Trainer(SentenceTransformerTrainer):
    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """None: it would read through the data set for a card."""
