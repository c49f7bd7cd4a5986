"""The retrieval sets: where they lie, which split tunes and which is measured, and their indexes."""

import random
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ragkit.corpus.questions import Question, load_questions
from ragkit.index.events import Event
from ragkit.retrieval.index import Index


@dataclass(frozen=True)
class Suite:
    """`sample` questions at most are drawn of each split, with a fixed seed; None takes all."""

    name: str
    title: str
    tuning: str | None
    test: str
    sample: int | None = 3000


SUITES = {
    suite.name: suite
    for suite in (
        Suite("scifact", "SciFact", "train", "test"),
        Suite("selqa", "SelQA", "dev", "test"),
        Suite("clapnq", "CLAPNQ", None, "test"),
        Suite("fairytaleqa", "FairytaleQA", "train", "test"),
        Suite("squad", "SQuAD", "train", "dev"),
        Suite("medquad", "MedQuAD", "train", "test"),
    )
}
"""SelQA has no train split: its dev split tunes. CLAPNQ has only a test split: nothing is tuned on it."""


def questions_of(suite: Suite, split: str, data: Path, sample: int | None) -> list[Question]:
    """The questions of a split that have a relevant passage, `sample` of them drawn with a fixed seed."""
    questions = [q for q in load_questions(data / suite.name, split).questions if q.relevant]
    questions.sort(key=lambda question: question.id)
    if sample is not None and sample < len(questions):
        questions = random.Random(13).sample(questions, sample)
    return questions


def index_of(suite: Suite, data: Path, indexes: Path) -> Index:
    """The set's index with the packaged encoder and an exact engine, built where it is not there yet."""
    folder = indexes / suite.name
    if (folder / "current.json").is_file():
        return Index.open(folder)
    return Index.build(data / suite.name, folder, factory="flat", on_event=_show)


def vectors_of(index: Index, questions: list[Question], kept: Path) -> npt.NDArray[np.float32]:
    """The questions' vectors, (q, d), kept in the file `kept` for the next run."""
    texts = [question.text for question in questions]
    passport = index.encoder.passport()
    fingerprint = passport.fingerprint + passport.questions
    if kept.is_file():
        stored = np.load(kept)
        if str(stored["encoder"]) == fingerprint and list(stored["texts"]) == texts:
            return np.asarray(stored["vectors"])
    vectors = index.encoder.encode_questions(texts)
    kept.parent.mkdir(parents=True, exist_ok=True)
    np.savez(kept, encoder=fingerprint, texts=np.array(texts), vectors=vectors)
    return vectors


def _show(event: Event) -> None:
    print(f"\r{event.stage} {event.done}/{event.total or '?'} {event.unit}   ", end="", file=sys.stderr)
