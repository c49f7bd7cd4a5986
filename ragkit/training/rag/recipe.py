"""Recipe of RAG end to end: the negative marginal log-likelihood of the answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from ragkit.generation.seq2seq import Seq2SeqGenerator
from ragkit.generation.window import decoder_window
from ragkit.training.rag.data import RagExample
from ragkit.training.rag.loss import LOSSES, LossName
from ragkit.training.rag.model import Features, RagModel
from ragkit.training.rag.retriever import Retriever
from ragkit.training.recipe import LoopSettings, Recipe

Part = Literal["question", "generator"]


@dataclass(frozen=True, slots=True)
class RagSettings:
    """How RAG is trained.

    A step asks `batch` questions and reads `k` passages for each. The towers learn at `question_rate`, the
    generator at the loop's learning rate. `freeze` leaves one part as it is; of the generator, word
    embeddings and the encoder's `frozen_layers` lowest layers always stay. `temperature` divides the
    retriever's scores: left out, it is that of dense search for cosines, and 1 for inner products. Prompts
    are cut at `max_tokens`, answers at `max_answer_tokens` or where the generator's window ends. With
    `rebuild_every` the passage tower is trained too, and the index built anew with it every so many steps.
    `held_out` questions at most, of articles never trained on, validate.
    """

    loop: LoopSettings = field(
        default_factory=lambda: LoopSettings(learning_rate=5e-5, warm_up=0.1, log_every=10)
    )
    generator: str = "packaged"
    k: int = 5
    loss: LossName = "sequence"
    freeze: Part | None = None
    question_rate: float = 2e-5
    frozen_layers: int = 4
    batch: int = 8
    temperature: float | None = None
    max_tokens: int = 256
    max_answer_tokens: int = 32
    batch_tokens: int = 4096
    rebuild_every: int | None = None
    held_out: int = 200


class RagRecipe(Recipe):
    """Asks, retrieves, reads and scores; where the gradient goes is decided by what is frozen.

    Args:
        preprocess: questions to the features of their tower.
        rebuild: gives the retriever of the step numbered so, where the index is built anew.
    """

    best_metric = "log-likelihood"
    validates_first = True
    model: RagModel

    def __init__(
        self,
        model: RagModel,
        generator: Seq2SeqGenerator,
        retriever: Retriever,
        preprocess: Callable[[Sequence[str]], Features],
        train: Sequence[RagExample],
        held_out: Sequence[RagExample],
        settings: RagSettings,
        rebuild: Callable[[int], Retriever] | None = None,
    ) -> None:
        self.model, self.retriever, self.settings = model, retriever, settings
        self._generator, self._preprocess, self._rebuild = generator, preprocess, rebuild
        self._train, self._held_out = train, held_out
        self._ids = frozenset(retriever.index.rows_by_id())
        self._nll = LOSSES[settings.loss]
        self._rebuilt = 0
        self.checkpoint_every = settings.rebuild_every
        for part in [settings.freeze] if settings.freeze else []:
            getattr(model, part).requires_grad_(False)

    def learning_rate_scale(self, name: str) -> float:
        s = self.settings
        return 1.0 if name.startswith("generator.") else s.question_rate / s.loop.learning_rate

    def batches(self, epoch: int) -> Sequence[list[int]]:
        order = np.random.default_rng((self.settings.loop.seed, epoch)).permutation(len(self._train))
        size = self.settings.batch
        return [order[at : at + size].tolist() for at in range(0, len(order), size)]

    def before_step(self, step: int) -> None:
        due = step - step % (self.settings.rebuild_every or step + 1)
        if self._rebuild is not None and due > self._rebuilt:
            self.retriever, self._rebuilt = self._rebuild(due), due

    def step(self, model: nn.Module, batch: list[int]) -> dict[str, Tensor]:
        return {"loss": self._marginal(model, [self._train[at] for at in batch])[0].mean()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Mean log p(y|x), and the share of questions with a right passage among the k."""
        nll: list[float] = []
        found: list[bool] = []
        for at in range(0, len(self._held_out), self.settings.batch):
            examples = self._held_out[at : at + self.settings.batch]
            of_batch, rows = self._marginal(model, examples)
            nll += of_batch.tolist()
            for example, own in zip(examples, rows.tolist(), strict=True):
                known = not example.relevant.isdisjoint(self._ids)
                found.append(example.found_in(self.retriever.index.passages(own), known))
        k = self.settings.k
        return {"log-likelihood": -float(np.mean(nll)), f"Success@{k}": float(np.mean(found))}

    def labels(self, answers: Sequence[str]) -> Tensor:
        """The answers' tokens with their end, -100 behind it, (b, t)."""
        tokenizer, end = self._generator.tokenizer, self._generator.ending.stops[0]
        room = decoder_window(self._generator.model.config) - len(self._generator.prefix)
        most = min(self.settings.max_answer_tokens, room) - 1
        tokens = tokenizer(list(answers), add_special_tokens=False, verbose=False)["input_ids"]
        rows = [torch.tensor([*ids[:most], end]) for ids in tokens]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-100)

    def _marginal(self, model: nn.Module, examples: Sequence[RagExample]) -> tuple[Tensor, Tensor]:
        """-log p(y|x), (b,), and the rows found, (b, k)."""
        questions = [example.question for example in examples]
        answers = self.labels([example.answers[0] for example in examples])
        answers = answers.to(next(self.model.parameters()).device)
        find = partial(self.retriever.find, questions)
        scores, tokens, rows = model(self._preprocess(questions), find, answers)
        return self._nll(scores, tokens, answers >= 0), rows
