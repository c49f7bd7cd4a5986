"""A smaller tower for an index's questions. Passages keep their vectors, and the index stays as it is.

A question is encoded while somebody waits, a passage once: the two need not cost the same. The small tower
learns the vectors that the whole one gives to questions (as KALE does after training: Campos, Magnani and
Zhai 2023, "Quick Dense Retrievers Consume KALE", here by squared distance).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from torch.nn import functional

from ragkit.encoders.loading import load_encoder
from ragkit.encoders.sentence import SentenceEncoder
from ragkit.encoders.towers import tower
from ragkit.errors import RagkitError
from ragkit.evaluation.statistics import compare, estimate
from ragkit.generation.generator import Tokens
from ragkit.index.planning.questions import live_rows
from ragkit.index.stored import StoredIndex
from ragkit.models.compress.stored_model import Kind
from ragkit.training.compression.models import (
    TIMED,
    CompressionSettings,
    How,
    ModelRow,
    compress_only,
    examples_of,
    named,
)
from ragkit.training.compression.subject import Example, Subject, weights_of
from ragkit.training.compression.timing import medians
from ragkit.training.compression.ways import K, recalls_of
from ragkit.training.recipe import OnEvent
from ragkit.training.retrieval.towers import Towers, build_towers, refuse_rounded

WAYS: tuple[How, ...] = ("ffn", "layers")
"""Those that a folder of two towers can hold, as sentence-transformers writes it."""
STRETCHES = 20_000
"""Of passages, to learn from."""
JUDGED = 300
"""Others, asked to tell what was lost where there are no questions."""


@dataclass
class QuestionTower(Subject):
    """`whole` and `network` are the questions' tower; `towers` holds it beside the passages', as it was."""

    towers: Towers

    def original(self) -> "QuestionTower":
        return question_tower(self.spec)

    def outputs(self, examples: Sequence[Example], answers: Sequence[Tokens] = ()) -> list[Tensor]:
        """The vectors of the examples' questions, (n, d)."""
        encoder = self.towers.encoder
        prompt = encoder.passport().prompts["question"]
        vectors = self.vectors([question for question, _ in examples], prompt=prompt or None)
        return [functional.normalize(vectors, dim=-1) if encoder.similarity == "cosine" else vectors]

    def save(self, out: Path, kind: Kind, plain: bool) -> Path:
        """Both towers, in a folder that `index.rewriting.adopt` takes; returns it."""
        self.towers.save(out)
        return out


def question_tower(spec: str) -> QuestionTower:
    """The questions' side of an encoder. Raises RagkitError where it is not one of sentence-transformers, or
    has no single transformer inside."""
    towers = build_towers(spec, "frozen")
    modules = list(tower(towers.model, "query"))
    network = getattr(modules[0], "model", None)
    if not isinstance(network, nn.Module):
        raise RagkitError(f"{spec} has no single transformer inside: it cannot be compressed")
    whole = SentenceTransformer(modules=modules, device="cpu", local_files_only=True).eval()
    return QuestionTower("encoder", spec, Path(spec), whole, network, whole.tokenizer, towers)


def compress_question_tower(
    index: StoredIndex,
    out: Path,
    settings: CompressionSettings,
    questions: Sequence[str] | None = None,
    on_event: OnEvent | None = None,
) -> Path:
    """Makes an encoder whose question tower is smaller and whose passage tower is the index's.

    Args:
        questions: to learn from; None: `stretches` of the index's passages.

    Returns the encoder's folder, `out`/model, for `index.rewriting.adopt`.

    Raises:
        RagkitError: if the encoder is not one of sentence-transformers, cannot be made smaller this way, or
            gives int8 vectors; if there are too few passages to learn from, or `out` holds something.
    """
    passport = index.encoder.passport()
    refuse_rounded(passport, index.path)
    if settings.how not in WAYS:
        raise RagkitError(f"a question tower is made smaller by {' or '.join(WAYS)}, not by {settings.how}")
    subject = question_tower(passport.name)
    examples = [(question, "") for question in questions or stretches(index)]
    return compress_only(subject, out, settings, examples, on_event)


def stretches(index: StoredIndex, seed: int = 0, count: int = STRETCHES) -> list[str]:
    """Of the index's passages, about `count` in all, as if they were questions: see `examples_of`."""
    random = np.random.default_rng(seed)
    rows = np.sort(random.permutation(live_rows(index))[:count])
    texts = [passage.text for passage in index.passages(rows)]
    rounds = range(max(1, count // max(1, len(texts))))
    found = [question for number in rounds for question, _ in examples_of(texts, seed=seed + number)]
    return [found[place] for place in random.permutation(len(found))]


def measured(
    index: StoredIndex,
    folder: Path,
    settings: CompressionSettings,
    questions: Sequence[str],
    relevant: Sequence[Sequence[int]] | None = None,
) -> list[ModelRow]:
    """Questions by the index's tower and by the smaller one in `folder`: cosine between the two, recall@10 by
    exact search among the index's vectors, and the time of a question, in float32 by torch.

    Args:
        relevant: the positions of each question's relevant passages among those that are there; None: the
            ten nearest to it as the index's own tower encodes it.
    """
    passages = index.passage_vectors()(live_rows(index))
    loaded = [load_encoder(spec, "torch", "fp32") for spec in (index.encoder.passport().name, folder)]
    encoders = [encoder for encoder in loaded if isinstance(encoder, SentenceEncoder)]
    vectors = [encoder.encode_questions(questions) for encoder in encoders]
    best = [np.argsort(-(asked @ passages.T), axis=1)[:, :K].tolist() for asked in vectors]
    recalls = [recalls_of(rows, best[0] if relevant is None else relevant) for rows in best]
    lengths = [np.linalg.norm(asked, axis=1) for asked in vectors]
    asking = [lambda n, encoder=encoder: encoder.encode_questions([questions[n]]) for encoder in encoders]
    seconds = medians(asking, min(TIMED, len(questions)))
    return [
        ModelRow(
            name,
            4 * weights_of(tower(encoders[i].model, "query")),
            estimate((vectors[i] * vectors[0]).sum(axis=1).astype(float) / (lengths[i] * lengths[0])),
            seconds[i],
            estimate(recalls[i]),
            compare("recall@10", recalls[0], recalls[i]),
        )
        for i, name in enumerate(("as it was", named(settings)))
    ]
