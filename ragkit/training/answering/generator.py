"""Recipe of the generator: a pointer-generator that starts from the trained reader's encoder."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ragkit.errors import RagkitError
from ragkit.generation.pointer_generator import PointerGenerator, PointerGeneratorConfig
from ragkit.generation.surface import surface_from_passage
from ragkit.generation.tokenised import tokenise
from ragkit.training.answering.data import (
    ReadingExample,
    read_free_answers,
    read_squad,
    split_held_out,
    token_batches,
)
from ragkit.training.answering.pair_recipe import PairRecipe, PairSettings, reading_sets
from ragkit.training.answering.reading_set import ReadingSet, Window
from ragkit.training.answering.scores import mean_scores
from ragkit.training.checkpoint import save_model
from ragkit.training.half_precision import register_lean_attention
from ragkit.training.loop import train
from ragkit.training.recipe import LoopSettings, OnEvent, TrainingResult
from ragkit.training.starting_point import starting_point


@dataclass(frozen=True, slots=True)
class GeneratorSettings:
    """The generator's own settings, next to the loop's and the pairs'.

    All but the `trained_layers` upper layers of the encoder stay as the reader has them; these learn at
    `encoder_rate` times the learning rate, with `dropout`.
    """

    loop: LoopSettings = field(default_factory=lambda: LoopSettings(learning_rate=6e-4, epochs=0.5))
    pairs: PairSettings = field(default_factory=lambda: PairSettings(cropped_epochs=0.25, held_out=200))
    trained_layers: int = 2
    encoder_rate: float = 0.1
    dropout: float = 0.0
    decoder_layers: int = 2
    max_answer_tokens: int = 40


class GeneratorRecipe(PairRecipe):
    """Likelihood of the answer's tokens; the answer from a wrong passage is the empty one, [SEP] at once.

    That makes p(y | x, z) tell passages apart, which RAG's posterior p(z | x, y) lives on.
    """

    best_metric = "f1"
    model: PointerGenerator

    def __init__(
        self,
        model: PointerGenerator,
        tokenizer: Any,
        train: ReadingSet,
        held_out: ReadingSet,
        settings: GeneratorSettings,
    ) -> None:
        super().__init__(model, train, held_out, settings.pairs, settings.loop.seed)
        self.settings, self.tokenizer = settings, tokenizer
        texts = [example.answers[0] if example.answers else "" for example in train.examples]
        self._answers = [answer.ids for answer in tokenise(tokenizer, texts)]

    def learning_rate_scale(self, name: str) -> float:
        return self.settings.encoder_rate if name.startswith("encoder.bert.") else 1.0

    def step(self, model: nn.Module, batch: list[Window]) -> dict[str, Tensor]:
        pairs = self.train_set.collate(batch)
        device = self.model.device
        loss = model(
            input_ids=pairs.input_ids.to(device),
            attention_mask=pairs.attention_mask.to(device),
            labels=self.labels(batch).to(device),
        ).loss
        return {"loss": loss}

    def labels(self, batch: Sequence[Window]) -> Tensor:
        """Answers that end in [SEP], -100 behind, (batch, target)."""
        rows = [[*self._target(window), self.tokenizer.sep_token_id] for window in batch]
        labels = torch.full((len(rows), max(map(len, rows))), -100)
        for row, tokens in enumerate(rows):
            labels[row, : len(tokens)] = torch.tensor(tokens)
        return labels

    def validate(self, model: nn.Module) -> dict[str, float]:
        predictions = self.predict(self.held_out)
        return mean_scores(predictions, [example.answers for example in self.held_out.examples])

    @torch.no_grad()
    def predict(self, data: ReadingSet) -> list[str]:
        """The greedy answer to every example from the first window of its passage."""
        windows = [data.windows(at)[0] for at in range(len(data.examples))]
        answers = [""] * len(windows)
        widths = np.array([data.width(window) for window in windows])
        device = self.model.device
        for rows in token_batches(widths, 2 * self.pairs.batch_tokens, np.random.default_rng(0)):
            pairs = data.collate([windows[row] for row in rows])
            written = self.model.generate(
                pairs.input_ids.to(device),
                attention_mask=pairs.attention_mask.to(device),
                max_new_tokens=self.settings.max_answer_tokens,
                do_sample=False,
                num_beams=1,
            )
            for row, tokens in zip(rows, written.tolist(), strict=True):
                passage = data.passages[windows[row].passage]
                answers[row] = surface_from_passage(self.tokenizer, tokens, passage)
        return answers

    def _target(self, window: Window) -> list[int]:
        most = self.settings.max_answer_tokens - 1
        if window.answer is not None:
            first, last = window.answer
            return self.train_set.passage_tokens[window.passage].ids[first : last + 1][:most].tolist()
        if self.train_set.is_free(window):
            return self._answers[window.example][:most].tolist()
        return []


def build_generator(reader: Path, settings: GeneratorSettings) -> tuple[PointerGenerator, Any]:
    """A pointer-generator on the encoder of a trained reader, and its tokenizer.

    Raises:
        RagkitError: if `reader` holds no BERT reader.
    """
    from transformers import AutoModelForQuestionAnswering

    trained, tokenizer = starting_point(AutoModelForQuestionAnswering, reader)
    if trained.config.model_type != "bert":
        raise RagkitError(
            f"{reader}: the generator starts from a BERT reader, not {trained.config.model_type}"
        )
    dropout = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), settings.dropout)
    config = PointerGeneratorConfig(
        encoder=trained.config.to_dict() | dropout,
        decoder_layers=settings.decoder_layers,
        max_target_positions=settings.max_answer_tokens + 24,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        pad_token_id=tokenizer.pad_token_id,
        decoder_start_token_id=tokenizer.cls_token_id,
    )
    model = PointerGenerator(config)
    model.encoder.bert.load_state_dict(trained.bert.state_dict())
    model.encoder.bert.set_attn_implementation("sdpa" if settings.dropout else register_lean_attention())
    model.encoder.bert.requires_grad_(False)
    layers = model.encoder.bert.encoder.layer
    for layer in layers[len(layers) - settings.trained_layers :]:
        layer.requires_grad_(True)
    return model, tokenizer


def train_generator(
    train_files: Sequence[Path],
    out: Path,
    reader: Path,
    settings: GeneratorSettings | None = None,
    on_event: OnEvent | None = None,
) -> TrainingResult:
    """Trains the generator and saves it, with its tokenizer, in `out/model`.

    Args:
        train_files: SQuAD files, and BEIR folders with answers, of which the training split is taken.
        reader: folder of the trained reader whose encoder it starts from.

    Raises:
        RagkitError: on unreadable data or reader, or a run in `out` with other settings or data.
    """
    settings = settings or GeneratorSettings()
    examples: list[ReadingExample] = []
    free: list[ReadingExample] = []
    for path in map(Path, train_files):
        if path.is_dir():
            free += read_free_answers(path)
        else:
            examples += read_squad(path)
    if not examples:
        raise RagkitError(f"no SQuAD file among {', '.join(map(str, train_files))}")
    torch.manual_seed(settings.loop.seed)
    model, tokenizer = build_generator(Path(reader), settings)
    squad, held_part = split_held_out(examples, limit=settings.pairs.held_out)
    learnt, held = reading_sets(tokenizer, squad + free, held_part, settings.pairs)
    recipe = GeneratorRecipe(model, tokenizer, learnt, held, settings)
    sizes = [asdict(settings), len(examples), len(free)]
    result = train(recipe, out, settings.loop, on_event, sizes)
    model.encoder.bert.set_attn_implementation("eager")
    save_model(out / "model", model, tokenizer)
    return result
