"""One run of sentence-transformers' trainer over a dual encoder's towers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.base.modules import Router
from sentence_transformers.base.sampler import DefaultBatchSampler
from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator
from torch import Tensor
from torch.utils.data import SequentialSampler
from transformers import PrinterCallback

from ragkit.runtime.precision import computes_bf16
from ragkit.training.journal import Journal, Pace
from ragkit.training.loop import learning_rate_factor
from ragkit.training.recipe import OnEvent
from ragkit.training.retrieval.losses import retrieval_loss
from ragkit.training.retrieval.plan import DualEncoderSettings, Lessons
from ragkit.training.retrieval.scores import HeldOut

OWN_RATE = 20.0
"""Times the learning rate, of a loss's own parameters."""


def train_towers(
    model: SentenceTransformer,
    lessons: Lessons,
    held_out: HeldOut | None,
    out: Path,
    settings: DualEncoderSettings,
    on_event: OnEvent | None,
    loss: torch.nn.Module | None = None,
) -> dict[str, float]:
    """Trains `model` in place, from where the checkpoint in `out` stands, and mixes the start in.

    Returns the held-out scores of what came of it, and "before" those of the start; none where nothing is
    held out. `loss`, by default the one that the settings name, is a module around the model; what else in it
    has parameters is trained, too, `OWN_RATE` times as fast: nothing has learnt it yet.
    """
    started = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}

    def scores() -> dict[str, float]:
        return held_out.scores(model) if held_out else {}

    before = scores()
    trained, loss = loss or model, loss or _loss(model, settings)
    optimizer = torch.optim.AdamW(_groups(model, loss, settings), lr=settings.learning_rate, fused=True)
    pace = Pace(settings.log_every, settings.validate_every, settings.checkpoint_minutes, settings.seed)
    journal = Journal(trained, optimizer, out, lessons.total, lessons.fingerprint, scores, on_event, pace)
    start = journal.begin()
    if not start and before:
        journal.emit({"event": "validate", "step": 0} | before)
    if start < lessons.total:
        _train(model, loss, lessons, start, out, settings, optimizer, journal)
    _mix(model, started, settings.keep)
    model.eval()
    return journal.end() | {f"{name} before": value for name, value in before.items()}


def _train(
    model: SentenceTransformer,
    loss: torch.nn.Module,
    lessons: Lessons,
    start: int,
    out: Path,
    settings: DualEncoderSettings,
    optimizer: torch.optim.Optimizer,
    journal: Journal,
) -> None:
    total = lessons.total
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_factor(start + step, total, settings.warm_up)
    )
    trainer = _Trainer(
        model=model,
        args=_arguments(model.device, out, total - start, settings),
        train_dataset=Dataset.from_dict({"batch": list(range(start, total))}),
        data_collator=_collator(model, lessons, settings),
        loss=loss,
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


def _groups(
    model: torch.nn.Module, loss: torch.nn.Module, settings: DualEncoderSettings
) -> list[dict[str, Any]]:
    """Biases and norms are not decayed."""
    of_model = list(model.parameters())
    known = {id(parameter) for parameter in of_model}
    own = [parameter for parameter in loss.parameters() if id(parameter) not in known]
    groups = []
    for parameters, rate in ((of_model, 1.0), (own, OWN_RATE)):
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        for part, decay in (
            ([p for p in trained if p.ndim > 1], settings.weight_decay),
            ([p for p in trained if p.ndim <= 1], 0.0),
        ):
            if part:
                groups.append({"params": part, "weight_decay": decay, "lr": rate * settings.learning_rate})
    return groups


def _collator(model: Any, lessons: Lessons, settings: DualEncoderSettings) -> "_Collator":
    tasks = {"question": "query", "passage": "document"}
    tasks |= {f"question_{rank}": "query" for rank in range(1, settings.group + 1)}
    tasks |= {f"negative_{rank}": "document" for rank in range(1, settings.negatives + 1)}
    own = model.prompts
    of_passages = next((own[name] for name in ("document", "passage", "corpus") if name in own), "")
    prompts = {"query": own.get("query", ""), "document": of_passages}
    return _Collator(
        lessons.rows,
        preprocess_fn=model.preprocess,
        router_mapping=tasks if isinstance(model[0], Router) else {},
        prompts={column: prompts[task] for column, task in tasks.items() if prompts[task]},
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
