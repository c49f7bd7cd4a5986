"""A model made smaller: fewer bits, fewer weights, or smaller matrices; trained afterwards or not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import torch
from accelerate import PartialState
from torch import Tensor, nn

from ragkit.errors import RagkitError
from ragkit.evaluation.statistics import Comparison, Estimate, compare, estimate
from ragkit.models.compress.int4_storage import GROUP
from ragkit.models.compress.magnitude import Masks, apply_masks, share_mask
from ragkit.models.compress.quantisation_aware import finish, prepare
from ragkit.models.compress.stored_model import Kind
from ragkit.models.compress.structured import importance, narrowed
from ragkit.training.compression.architectures import Units, heads, hidden_units, set_hidden_size, stacks
from ragkit.training.compression.distilling import DistilRecipe
from ragkit.training.compression.judging import Judge
from ragkit.training.compression.subject import Example, Subject
from ragkit.training.compression.timing import medians
from ragkit.training.loop import train
from ragkit.training.recipe import LoopSettings, OnEvent

How = Literal["int8", "int4", "sparse", "ffn", "heads", "layers"]
HOWS: tuple[How, ...] = ("int8", "int4", "sparse", "ffn", "heads", "layers")
WIDTH = 32
"""Hidden units are kept in multiples of it: what processors multiply at once, and an int4 group."""
SAMPLES = 64
"""Examples that units are judged on."""
HELD_OUT = 128
"""Examples that no training sees: the agreement is measured on them."""
TIMED = 20


@dataclass(frozen=True, kw_only=True)
class CompressionSettings:
    """`keep`: share of weights (sparse), hidden units, heads or layers. `steps` 0: nothing is trained."""

    how: How
    keep: float = 0.5
    steps: int = 0
    batch: int = 16
    learning_rate: float = 5e-5
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.keep < 1:
            raise RagkitError(f"keep {self.keep:g}: give the share that stays, between 0 and 1")


@dataclass(frozen=True)
class ModelRow:
    """One model of the report: as it was, compressed, or a baseline."""

    name: str
    bytes: int
    """Of its file of weights."""
    agreement: Estimate
    """With the model as it was, see `Subject.agreement`."""
    p50: float
    """Seconds an example takes, read alone (a generator's answer with it), in float32 by torch; all models in
    turn."""
    score: Estimate | None = None
    """By the questions' own answers or passages, see `judging`."""
    difference: Comparison | None = None
    """a: as it was, b: this model."""


def compress_model(
    subject: Subject,
    out: Path,
    settings: CompressionSettings,
    examples: Sequence[Example],
    on_event: OnEvent | None = None,
    judge: Judge | None = None,
) -> list[ModelRow]:
    """Compresses `subject` in place and saves it in `out`; what it came to, beside the model as it was and
    the cheapest baselines: its matrices rounded to int8, and, where it was trained, the same without.

    Args:
        examples: what it learns from and is compared by (see `examples_of`), more than `HELD_OUT`.
        judge: what the models are measured by besides, see `judging.judge_of`.

    Raises:
        RagkitError: if the model cannot be compressed so, or `out` holds something.
    """
    _refuse(subject, out, settings, examples)
    judged, seen = examples[:HELD_OUT], examples[HELD_OUT:]
    original = subject.original()
    with TemporaryDirectory() as temporary:
        rounded = subject.original()
        weights = rounded.save(Path(temporary) / "int8", "int8", plain=False)
        models = {
            "as it was": (original, original.bytes),
            "int8, rounded": (rounded.again(Path(temporary) / "int8"), weights.stat().st_size),
        }
        if settings.steps:
            plain = subject.original()
            kind, as_is, _ = _changed(plain, settings, seen)
            weights = plain.save(Path(temporary) / "plain", kind, as_is)
            models["without training"] = plain.again(Path(temporary) / "plain"), weights.stat().st_size
        weights = compress_only(subject, out, settings, examples, on_event)
        models[named(settings)] = subject.again(out / "model"), weights.stat().st_size
        return _measured(models, judged, judge)


def compress_only(
    subject: Subject,
    out: Path,
    settings: CompressionSettings,
    examples: Sequence[Example],
    on_event: OnEvent | None = None,
) -> Path:
    """As `compress_model`, and measures nothing. Returns what `Subject.save` does, in `out`/model."""
    _refuse(subject, out, settings, examples)
    judged, seen = examples[:HELD_OUT], examples[HELD_OUT:]
    kind, plain, masks = _changed(subject, settings, seen)
    if settings.steps:
        _train(subject, subject.original(), settings, seen, judged, masks, out / "training", on_event)
    return subject.save(out / "model", kind, plain)


def _refuse(subject: Subject, out: Path, settings: CompressionSettings, examples: Sequence[Example]) -> None:
    if out.exists() and any(out.iterdir()):
        raise RagkitError(f"{out} is not empty: name another folder")
    if len(examples) <= HELD_OUT:
        raise RagkitError(f"{len(examples)} examples are too few: give {HELD_OUT + 1} or more")


def examples_of(passages: Sequence[str], words: int = 80, seed: int = 0) -> list[Example]:
    """A stretch of 4 to 12 words of each passage, as if it were a question, and `words` words around it."""
    random = np.random.default_rng(seed)
    found = []
    for text in passages:
        parts = text.split()
        if len(parts) < 5:
            continue
        length = int(random.integers(4, min(13, len(parts))))
        start = int(random.integers(0, len(parts) - length + 1))
        first = max(0, min(start - (words - length) // 2, len(parts) - words))
        found.append((" ".join(parts[start : start + length]), " ".join(parts[first : first + words])))
    return found


def named(settings: CompressionSettings) -> str:
    kept = "" if settings.how in ("int8", "int4") else f" {settings.keep:.0%}"
    return f"{settings.how}{kept}" + (f", {settings.steps} steps" if settings.steps else "")


def _changed(
    subject: Subject, settings: CompressionSettings, examples: Sequence[Example]
) -> tuple[Kind, bool, Masks | None]:
    """Changes the network; how it is to be stored, whether transformers itself can read it, and masks."""
    network = subject.network
    if settings.how in ("int8", "int4"):
        return ("int8" if settings.how == "int8" else "int4"), False, None
    if settings.how == "sparse":
        masks = {
            f"{name}.weight": share_mask(layer.weight, settings.keep)
            for name, layer in network.named_modules()
            if isinstance(layer, nn.Linear)
        }
        apply_masks(network, masks)
        return "float32", True, masks
    if settings.how == "layers":
        return "float32", _drop_layers(network, settings.keep), None
    units = hidden_units(network) if settings.how == "ffn" else heads(network)
    for one, inputs in zip(units, _seen(subject, units, examples[:SAMPLES]), strict=True):
        step = WIDTH if settings.how == "ffn" and one.count > WIDTH else 1
        count = max(1, round(settings.keep * one.count / step)) * step
        keep = importance(one.last, inputs, one.size).topk(min(count, one.count)).indices.sort().values
        one.replace(*narrowed(one.first, one.last, keep, one.size, inputs.mean(0)))
    said = settings.how == "ffn" and not hasattr(network.config, "encoder")
    return "float32", said and set_hidden_size(network.config, units[0].count), None


def _drop_layers(network: Any, keep: float) -> bool:
    """Keeps layers evenly spaced, the first and the last among them. A nested configuration has no word
    for it: such models are refused."""
    if hasattr(network.config, "encoder") or len(stacks(network)) != 1:
        raise RagkitError("layers are dropped from models with one stack of them only")
    ((owner, name),) = stacks(network)
    blocks = getattr(owner, name)
    count = max(1, round(keep * len(blocks)))
    places = sorted({round(place) for place in np.linspace(0, len(blocks) - 1, count)})
    setattr(owner, name, nn.ModuleList([blocks[place] for place in places]))
    network.config.num_hidden_layers = len(places)
    return True


def _seen(subject: Subject, units: Sequence[Units], examples: Sequence[Example]) -> list[Tensor]:
    """The inputs of each layer that leads out of units, (tokens, features)."""
    answers = subject.answers(examples)
    seen: list[list[Tensor]] = [[] for _ in units]

    def watch(place: int) -> Callable[..., None]:
        def see(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            seen[place].append(inputs[0].detach().flatten(0, -2).float())

        return see

    hooks = [one.last.register_forward_pre_hook(watch(place)) for place, one in enumerate(units)]
    try:
        with torch.no_grad():
            for example, answer in zip(examples, answers, strict=True):
                subject.outputs([example], [answer])
    finally:
        for hook in hooks:
            hook.remove()
    if not all(seen):
        raise RagkitError("some layers of this model are not used on texts: they cannot be judged")
    return [torch.cat(parts) for parts in seen]


def _train(
    subject: Subject,
    teacher: Subject,
    settings: CompressionSettings,
    examples: Sequence[Example],
    judged: Sequence[Example],
    masks: Masks | None,
    out: Path,
    on_event: OnEvent | None,
) -> None:
    quantised = settings.how in ("int8", "int4")
    if quantised:
        bits, group = (8, None) if settings.how == "int8" else (4, GROUP)
        # A generator's output layer multiplies by its embeddings.
        prepare(subject.network, bits, group, whole_embeddings=subject.role == "generator")
    else:
        # Nothing was taken from them, and their gradient, of every word there is, takes half of a step.
        subject.network.get_input_embeddings().requires_grad_(False)
    loop = LoopSettings(
        learning_rate=settings.learning_rate,
        max_steps=settings.steps,
        weight_decay=0.0,
        seed=settings.seed,
        precision="fp32",
        validate_every=settings.steps,
    )
    recipe = DistilRecipe(subject, teacher, examples, judged, settings.batch, settings.seed, masks)
    teacher.to(PartialState().device)  # where `train` takes the student
    subject.to(PartialState().device)
    train(recipe, out, loop, on_event, fingerprint=[settings.how, settings.keep, len(examples)])
    subject.to(torch.device("cpu"))
    subject.network.eval()
    if quantised:
        finish(subject.network)


def _measured(
    models: dict[str, tuple[Subject, int]], judged: Sequence[Example], judge: Judge | None
) -> list[ModelRow]:
    """The first model is the one as it was."""
    original = next(iter(models.values()))[0]
    agreements: dict[str, list[Tensor]] = {name: [] for name in models}
    with torch.no_grad():
        for at in range(0, len(judged), 16):
            part = judged[at : at + 16]
            answers = original.answers(part)
            wanted = original.outputs(part, answers)
            for name, (subject, _) in models.items():
                agreements[name].append(subject.agreement(subject.outputs(part, answers), wanted))
        reading = [
            lambda n, subject=subject: (
                subject.answers([judged[n]]) if subject.role == "generator" else subject.outputs([judged[n]])
            )
            for subject, _ in models.values()
        ]
        seconds = dict(zip(models, medians(reading, min(TIMED, len(judged))), strict=True))
    scores = {name: judge.values(subject) for name, (subject, _) in models.items()} if judge else {}
    before = next(iter(scores.values()), None)
    return [
        ModelRow(
            name,
            size,
            estimate(torch.cat(agreements[name]).double().numpy()),
            seconds[name],
            None if judge is None else estimate(scores[name]),
            None if judge is None or before is None else compare(judge.measure, before, scores[name]),
        )
        for name, (_, size) in models.items()
    ]
