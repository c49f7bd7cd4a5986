"""Checkpoints that survive kill -9: written aside, synced, renamed. Safetensors and JSON only."""

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ragkit.errors import RagkitError
from ragkit.runtime.quiet import without_bars

_PREFIX = "step-"


@dataclass(slots=True)
class Progress:
    """Where a run stands: `step` optimizer steps done, the next batch is `batch` of `epoch`."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    best_score: float | None = None
    best_step: int = 0
    scores: dict[str, float] = field(default_factory=dict)
    validations_since_best: int = 0
    seconds: float = 0.0


def trained_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The parameters that are trained and the buffers, by name, on the CPU; tied ones once."""
    named: dict[str, Tensor] = {name: p for name, p in model.named_parameters() if p.requires_grad}
    named |= {name: b for name, b in model.named_buffers() if name in model.state_dict()}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in named.items()}


def load_trained_tensors(model: nn.Module, path: Path) -> None:
    """Copies what `trained_tensors` saved back into the model.

    Raises:
        RagkitError: if the file is of another model.
    """
    saved = load_file(path)
    own = dict(model.named_parameters()) | dict(model.named_buffers())
    wanted = trained_tensors(model)
    if saved.keys() != wanted.keys() or any(saved[n].shape != wanted[n].shape for n in saved):
        raise RagkitError(f"{path}: these weights belong to another model; remove the folder to start anew")
    with torch.no_grad():
        for name, tensor in saved.items():
            own[name].copy_(tensor)


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    fingerprint: str,
) -> Path:
    """Writes `folder/step-N` completely, then renames it into place, then removes the older ones."""
    final = folder / f"{_PREFIX}{progress.step:08d}"
    aside = folder / f".writing-{final.name}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    save_file(trained_tensors(model), aside / "model.safetensors")
    state = optimizer.state_dict()["state"]
    flat = {f"{i}.{key}": torch.as_tensor(v).cpu() for i, s in state.items() for key, v in s.items()}
    save_file(flat, aside / "optimizer.safetensors")
    record = {"fingerprint": fingerprint} | {name: getattr(progress, name) for name in Progress.__slots__}
    (aside / "state.json").write_text(json.dumps(record, indent=1))
    _publish(aside, final)
    for old in _complete(folder):
        if old != final:
            shutil.rmtree(old, ignore_errors=True)
    return final


def load_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, fingerprint: str
) -> Progress | None:
    """Restores the newest checkpoint of `folder`; None where there is none.

    Raises:
        RagkitError: if it was made with other settings, another model, or is damaged.
    """
    found = _complete(folder)
    if not found:
        return None
    newest = found[-1]
    try:
        record: dict[str, Any] = json.loads((newest / "state.json").read_text())
        if record.pop("fingerprint") != fingerprint:
            raise RagkitError(
                f"{newest}: made with other settings or data; choose another folder or remove this one"
            )
        load_trained_tensors(model, newest / "model.safetensors")
        _load_optimizer(optimizer, load_file(newest / "optimizer.safetensors"))
        return Progress(**record)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise RagkitError(f"{newest}: damaged checkpoint: {error}") from error


def save_weights(path: Path, model: nn.Module, scores: dict[str, float]) -> None:
    """Replaces the file of the weights to keep in one step; their scores travel in its header."""
    aside = path.with_name(f".writing-{path.name}")
    save_file(trained_tensors(model), aside, metadata={"scores": json.dumps(scores)})
    _sync(aside)
    aside.replace(path)
    _sync(path.parent)


def load_weights(path: Path, model: nn.Module) -> dict[str, float]:
    """Copies the weights kept into the model and returns their scores."""
    load_trained_tensors(model, path)
    with safe_open(path, "pt") as file:
        scores: dict[str, float] = json.loads(file.metadata()["scores"])
    return scores


def save_model(folder: Path, model: Any, tokenizer: Any) -> None:
    """Saves a transformers model with its tokenizer, once however many processes train it."""
    if PartialState().is_main_process:
        with without_bars():
            model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _publish(aside: Path, final: Path) -> None:
    """Makes a finished folder durable, then gives it its name: it is there whole or not at all."""
    for path in [*aside.iterdir(), aside]:
        _sync(path)
    if final.exists():  # the same step once more, thus the same content
        shutil.rmtree(aside)
    else:
        aside.rename(final)
    _sync(final.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _load_optimizer(optimizer: torch.optim.Optimizer, flat: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in flat.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})


def _complete(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{_PREFIX}*")) if folder.is_dir() else []
