"""Trains the graph reranker: the relevant passages of a question are to be chosen first from its pool."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ragkit.corpus.questions import Question
from ragkit.encoders.encoder import Vectors
from ragkit.errors import RagkitError
from ragkit.models.basics.minibatches import minibatches
from ragkit.retrieval.fusion import Candidates, Scores
from ragkit.retrieval.graph_reranking import GraphScorer, Neighbourhoods
from ragkit.training.loop import train
from ragkit.training.recipe import LoopSettings, OnEvent, Recipe, TrainingResult

HOLD_ONE_IN = 6
"""Questions that validate."""
LOOP = LoopSettings(
    learning_rate=3e-3, epochs=4, precision="fp32", weight_decay=0.01, validate_every=50, patience=6
)


@dataclass(frozen=True)
class Lesson:
    """A question's vector, what the hybrid found, and the rows that are relevant."""

    question: Scores
    candidates: Candidates
    relevant: frozenset[int]


def lessons_of(
    neighbourhoods: Neighbourhoods,
    questions: Sequence[Question],
    vectors: Vectors,
    candidates: Sequence[Candidates],
) -> list[Lesson]:
    """Of the questions with a relevant passage in their pool: the others have nothing to choose."""
    by_id, found = neighbourhoods.index.rows_by_id(), []
    for question, vector, of_question in zip(questions, vectors, candidates, strict=True):
        relevant = {
            row for name, grade in question.relevant.items() if grade > 0 for row in by_id.get(name, ())
        }
        fused = neighbourhoods.index.fusion.fuse(of_question)
        pool = of_question.rows[np.lexsort((of_question.rows, -fused))[: neighbourhoods.pool]]
        if relevant.intersection(pool.tolist()):
            found.append(Lesson(vector, of_question, frozenset(relevant)))
    return found


class GraphRerankerRecipe(Recipe):
    """The loss of a question is that of McFadden's conditional logit, as the hybrid's (`fusion`): the mean of
    -log softmax(s') over its relevant passages. Neighbours are drawn anew in each step."""

    model: GraphScorer

    def __init__(
        self, neighbourhoods: Neighbourhoods, lessons: Sequence[Lesson], batch_size: int, seed: int
    ) -> None:
        self.model, self.neighbourhoods = GraphScorer(), neighbourhoods
        self.batch_size, self.seed = batch_size, seed
        order = torch.randperm(len(lessons), generator=torch.Generator().manual_seed(seed)).tolist()
        held = max(1, len(lessons) // HOLD_ONE_IN)
        self.held, self.lessons = [lessons[i] for i in order[:held]], [lessons[i] for i in order[held:]]

    def batches(self, epoch: int) -> Sequence[Any]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        return minibatches(len(self.lessons), self.batch_size, generator)

    def step(self, model: nn.Module, batch: Any) -> Mapping[str, Tensor]:
        return {"loss": torch.stack([self._loss(model, self.lessons[i]) for i in batch.tolist()]).mean()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        drawn = torch.Generator().manual_seed(0)
        return {"loss": float(torch.stack([self._loss(model, one, drawn) for one in self.held]).mean())}

    def _loss(self, model: nn.Module, lesson: Lesson, generator: torch.Generator | None = None) -> Tensor:
        around = self.neighbourhoods.around(lesson.question, lesson.candidates, generator)
        relevant = torch.tensor([row in lesson.relevant for row in around.rows.tolist()])
        return -torch.log_softmax(model(around), dim=0)[relevant].mean()


def train_graph_reranker(
    neighbourhoods: Neighbourhoods,
    lessons: Sequence[Lesson],
    out: Path,
    loop: LoopSettings = LOOP,
    batch_size: int = 8,
    on_event: OnEvent | None = None,
) -> TrainingResult:
    """Trains into `out`; `GraphReranker.load` reads its weights.safetensors.

    Raises RagkitError where there are too few questions to hold some out.
    """
    if len(lessons) < 2:
        raise RagkitError(f"{len(lessons)} questions with a relevant passage in their pool: give more")
    torch.manual_seed(loop.seed)
    recipe = GraphRerankerRecipe(neighbourhoods, lessons, batch_size, loop.seed)
    return train(recipe, out, loop, on_event, fingerprint=[len(lessons), batch_size])
