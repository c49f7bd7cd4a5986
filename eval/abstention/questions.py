"""Questions with and without an answer, and what is given to read: for fitting on training splits, for
measuring on others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eval.retrieval.sets import SUITES, index_of
from ragkit.corpus.document import Passage
from ragkit.corpus.questions import Question, load_questions
from ragkit.evaluation.answers import answer_in_text
from ragkit.retrieval.hit import Hit
from ragkit.retrieval.index import Index
from ragkit.training.answering.data import ReadingExample, read_squad, split_held_out

K = 5
SPARE = 10
"""Hits more than `K` that are asked for, so that `K` are left without those that hold the answer."""


@dataclass(frozen=True)
class Asked:
    """A question, the hits it is to be answered from, and the highest score that retrieval gave it.

    `question.answers` is empty where those hits hold no answer.
    """

    question: Question
    hits: list[Hit]
    score: float


def spread(items: Sequence[ReadingExample], count: int) -> list[ReadingExample]:
    """`count` of them at most, evenly."""
    step = max(1, len(items) / count)
    return [items[int(at * step)] for at in range(min(count, len(items)))]


def held_out(data: Path, count: int) -> list[ReadingExample]:
    """Questions of SQuAD's training split about articles that neither packaged answerer learnt from."""
    examples = read_squad(data / "squad_rc" / "train-v1.1.json.gz")
    return split_held_out(examples, limit=count)[1]


def given_paragraph(data: Path, index: Index, count: int) -> list[Asked]:
    """Each question with its paragraph, and with the one of the same article that BM25 ranks highest among
    those that do not hold its answer."""
    chosen = held_out(data, count)
    rows = _rows_by_title(index)
    asked = []
    for example in chosen:
        own = Passage(example.id, example.id, example.passage, 0, len(example.passage), example.title)
        asked.append(_one(example, own, True))
        _, ranked = index.lexical_candidates(
            [example.question], len(rows[example.title]), rows[example.title]
        )
        for other in index.passages(ranked[0][ranked[0] >= 0]):
            if not answer_in_text(example.answers, other.text):
                asked.append(_one(example, other, False))
                break
    return _scored(index, asked)


def found_passages(data: Path, index: Index, count: int) -> list[Asked]:
    """Each question with what the hybrid finds, and with what it finds where no passage holds its answer."""
    asked = []
    for example in held_out(data, count):
        hits = index.search(example.question, K + SPARE)
        known = Question(example.id, example.question, list(example.answers))
        without = [hit for hit in hits if not answer_in_text(example.answers, hit.passage.text)]
        for question, shown in ((known, hits[:K]), (Question(example.id, example.question), without[:K])):
            if shown:  # now and then all that is found holds the answer
                asked.append(Asked(question, shown, max(hit.score for hit in shown)))
    return asked


def squad_2(data: Path, index: Index, count: int) -> list[Asked]:
    """SQuAD v2.0 dev, each question with its own paragraph, evenly spread."""
    examples = spread(read_squad(data / "squad_rc" / "dev-v2.0.json.gz"), count)
    passages = [Passage(e.id, e.id, e.passage, 0, len(e.passage), e.title) for e in examples]
    both = zip(examples, passages, strict=True)
    return _scored(index, [_one(e, passage, bool(e.answers)) for e, passage in both])


def clapnq(data: Path, indexes: Path) -> list[Asked]:
    """All questions of CLAPNQ, half of them without an answer in its passages."""
    index = index_of(SUITES["clapnq"], data, indexes)
    questions = load_questions(data / "clapnq", "test").questions
    found = index.search_batch([question.text for question in questions], K)
    return [
        Asked(question, hits, max(hit.score for hit in hits))
        for question, hits in zip(questions, found, strict=True)
    ]


def _one(example: ReadingExample, passage: Passage, answerable: bool) -> Asked:
    answers = list(example.answers) if answerable else []
    return Asked(Question(example.id, example.question, answers), [Hit(passage, 0.0, 1)], 0.0)


def _scored(index: Index, asked: Sequence[Asked]) -> list[Asked]:
    """With the encoder's similarity of question and paragraph as retrieval's score. Hits keep the score 0 of
    paragraphs that were given, not found."""
    passages = [one.hits[0].passage for one in asked]
    of_questions = index.encoder.encode_questions([one.question.text for one in asked])
    texts = list(dict.fromkeys((passage.title, passage.text) for passage in passages))
    of_passages = dict(zip(texts, index.encoder.encode_passages(texts), strict=True))
    return [
        Asked(one.question, one.hits, float(vector @ of_passages[passage.title, passage.text]))
        for one, vector, passage in zip(asked, of_questions, passages, strict=True)
    ]


def _rows_by_title(index: Index) -> dict[str, npt.NDArray[np.int64]]:
    rows: dict[str, list[int]] = {}
    for row, passage in enumerate(index.passages(range(len(index)))):
        rows.setdefault(passage.title, []).append(row)
    return {title: np.array(of_title) for title, of_title in rows.items()}


Collect = Callable[[Path, Index, int], list[Asked]]
SETTINGS: dict[str, Collect] = {"given": given_paragraph, "found": found_passages}
"""What the calibrations that ship are fitted to."""
