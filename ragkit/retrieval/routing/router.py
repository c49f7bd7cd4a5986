"""A router: which label a question belongs to, or none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from ragkit.encoders.encoder import Encoder, Vectors
from ragkit.encoders.passport import Passport
from ragkit.errors import RagkitError
from ragkit.retrieval.routing.classifiers import Classifier, Method, fit
from ragkit.retrieval.routing.examples import NONE, Example, labels_of
from ragkit.retrieval.routing.threshold import Threshold, calibrated, similarity

DEFAULT_METHOD: Method = "logistic"
"""The best on the intents of BANKING77 to choose by, at one shot and at five: eval/results/routing.md."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a question belongs: `label`, or None where its `similarity` is below the router's threshold.
    `probabilities`: of each label, best first, given that it is one of them."""

    question: str
    label: str | None
    similarity: float
    probabilities: dict[str, float]


class Router:
    """A classifier over the vectors of an encoder, and a threshold below which a question is for no label.

    Example:
        router = Router.fit(read_examples(Path("examples.jsonl")), load_encoder())
        router.ask(["where is my card?"])[0].label
    """

    def __init__(
        self,
        labels: Sequence[str],
        method: Method,
        classifier: Classifier,
        examples: Vectors,
        threshold: Threshold,
        passport: Passport,
        indexes: Mapping[str, str] | None = None,
        encoder: Encoder | None = None,
        path: Path | None = None,
    ) -> None:
        self.labels, self.method, self.classifier = tuple(labels), method, classifier
        self.examples, self.threshold, self.passport = examples, threshold, passport
        self.indexes, self.path = dict(indexes or {}), path
        self._encoder = encoder
        if encoder is not None:
            self._refuse_other(encoder)

    @classmethod
    def fit(cls, examples: Sequence[Example], encoder: Encoder, method: Method = DEFAULT_METHOD) -> Self:
        """Raises RagkitError where the examples are too few: see `labels_of`."""
        labels = labels_of(examples)
        known = [example for example in examples if example.label != NONE]
        unknown = [example.text for example in examples if example.label == NONE]
        vectors = unit(encoder.encode_questions([example.text for example in known]))
        numbers = np.array([labels.index(example.label) for example in known])
        apart = unit(encoder.encode_questions(unknown)) if unknown else vectors[:0]
        return cls(
            labels, method, fit(method, vectors, numbers), vectors,
            calibrated(vectors, numbers, apart), encoder.passport(), encoder=encoder,
        )  # fmt: skip

    @property
    def encoder(self) -> Encoder:
        """Loaded on first use. Raises RagkitError where it is not the one that the router learnt with."""
        if self._encoder is None:
            from ragkit.encoders.loading import load_encoder

            loaded = load_encoder(self.passport.name, *self.passport.choice)
            self._refuse_other(loaded)
            self._encoder = loaded
        return self._encoder

    def ask(self, questions: Sequence[str]) -> list[Route]:
        vectors = unit(self.encoder.encode_questions(questions))
        near = similarity(vectors, self.examples)
        scores = self.classifier.scores(vectors).astype(np.float64)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        routes = []
        for question, own, cosine in zip(questions, weights, near.tolist(), strict=True):
            order = np.argsort(-own, kind="stable")
            probabilities = {self.labels[place]: float(own[place]) for place in order}
            label = self.labels[order[0]] if cosine >= self.threshold.value else None
            routes.append(Route(question, label, cosine, probabilities))
        return routes

    def index_of(self, label: str) -> Path:
        """The index that a label's questions go to; raises RagkitError where the router names none."""
        if label not in self.indexes:
            where = f" in {self.path}" if self.path else ""
            raise RagkitError(
                f"label {label!r} has no index{where}: fit with --index {label}=INDEX, "
                "or name it in router.json"
            )
        path = Path(self.indexes[label])
        return path if self.path is None or path.is_absolute() else self.path / path

    def _refuse_other(self, encoder: Encoder) -> None:
        own = encoder.passport()
        difference = own.disagreement(self.passport)
        if difference is None and own.questions != self.passport.questions:
            difference = f"encoder {own.name!r} is not encoder {self.passport.name!r}: other question towers"
        if difference:
            where = f" {self.path}" if self.path else ""
            raise RagkitError(f"wrong encoder for the router{where}: {difference}")


def unit(vectors: Vectors) -> Vectors:
    """The same of length one."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)
