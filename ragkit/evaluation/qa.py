"""How well questions are answered, and for each miss where it happened."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from ragkit.corpus.document import Passage
from ragkit.corpus.normalisation import normalise
from ragkit.corpus.questions import Question, QuestionSet
from ragkit.errors import RagkitError
from ragkit.evaluation.answers import answer_in_normalised, answer_in_text, exact_match, f1
from ragkit.evaluation.progress import OnQuestions
from ragkit.evaluation.statistics import Estimate, estimate
from ragkit.generation.answerer import Answerer
from ragkit.retrieval.hit import Hit

Miss = Literal["not in the corpus", "not retrieved", "retrieved but not used", "answered without a basis"]
MISSES: tuple[Miss, ...] = get_args(Miss)
"""Why an answer is wrong. The last: the question has no answer, and one was given all the same."""

BATCH = 32


@dataclass(frozen=True, slots=True)
class Record:
    """One question of an evaluation. `retrieved` is None where the gold passage was given."""

    id: str
    question: str
    answer: str
    golds: list[str]
    log_probability: float
    exact: float
    f1: float
    retrieved: bool | None
    miss: Miss | None
    passages: list[str]
    """Ids of the passages given, by posterior."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class QaReport:
    """EM and F1 as fractions of 1 with their intervals; `Success@k`, the same questions' retrieval."""

    name: str
    dataset: str
    split: str
    measures: dict[str, Estimate]
    records: list[Record] = field(repr=False)
    config: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def misses(self) -> dict[Miss, int]:
        """How many wrong answers (EM 0) of each kind."""
        counts = Counter(record.miss for record in self.records)
        return {miss: counts[miss] for miss in MISSES}

    @property
    def values(self) -> dict[str, list[float]]:
        """Each measure question by question."""
        return {
            "EM": [record.exact for record in self.records],
            "F1": [record.f1 for record in self.records],
        }

    @property
    def questions(self) -> list[str]:
        return [record.id for record in self.records]


def evaluate_qa(
    answerer: Answerer,
    questions: QuestionSet,
    *,
    name: str,
    filter: str | None = None,
    on_questions: OnQuestions | None = None,
) -> QaReport:
    """Asks every question and grades the answers; where a question has no gold answer, "" is right.

    With an index in `answerer`, its own search finds the passages; without one, each question is given its
    gold passages, whole, from the set's documents.

    Raises RagkitError where no question has gold answers, or gold passages are asked for of a set without its
    documents.
    """
    asked = questions.questions
    if not any(question.answers for question in asked):
        raise RagkitError(f"{questions.name}: no question has a gold answer, so answers cannot be graded")
    gold = None if answerer.index is not None else _gold_passages(questions)
    held = _Holdings(answerer)
    records: list[Record] = []
    began = time.perf_counter()
    for at in range(0, len(asked), BATCH):
        batch = asked[at : at + BATCH]
        texts = [question.text for question in batch]
        if gold is not None:
            hits = [_given(question, gold) for question in batch]
        else:
            assert answerer.index is not None
            hits = answerer.index.search_batch(texts, answerer.k, mode=answerer.mode, filter=filter)
        answers = answerer.answer(texts, hits)
        for question, found, answer in zip(batch, hits, answers, strict=True):
            exact = exact_match(answer.text, question.answers)
            retrieved = None if gold is not None else _supports(question, found)
            records.append(
                Record(
                    id=question.id,
                    question=question.text,
                    answer=answer.text,
                    golds=question.answers,
                    log_probability=answer.log_probability,
                    exact=exact,
                    f1=f1(answer.text, question.answers),
                    retrieved=retrieved,
                    miss=None if exact else _miss(question, bool(found), retrieved, held),
                    passages=[support.passage.id for support in answer.support],
                )
            )
        if on_questions is not None:
            on_questions(len(records), len(asked))
    report = QaReport(
        name=name,
        dataset=questions.name,
        split=questions.split,
        measures={},
        records=records,
        config=answerer.config | {"filter": filter},
        seconds=time.perf_counter() - began,
    )
    report.measures = {measure: estimate(np.array(values)) for measure, values in report.values.items()}
    found_any = [float(bool(record.retrieved)) for record in records if record.golds]
    if gold is None and found_any:
        report.measures[f"Success@{answerer.k}"] = estimate(np.array(found_any))
    return report


class _Holdings:
    """What the index holds, read only when a miss asks for it."""

    def __init__(self, answerer: Answerer) -> None:
        self._index = answerer.index
        self._documents: set[str] | None = None
        self._texts: str | None = None

    def has(self, question: Question) -> bool:
        """Whether a relevant document is there or, where none is named, an answer's words in some passage."""
        if self._index is None:
            return True
        if question.relevant:
            if self._documents is None:
                self._documents = self._index.document_ids()
            return any(
                name in self._documents or name.rpartition("#")[0] in self._documents
                for name in question.relevant
            )
        if self._texts is None:
            self._texts = "\n".join(map(normalise, self._index.texts()))
        return answer_in_normalised(question.answers, self._texts)


def _gold_passages(questions: QuestionSet) -> dict[str, Passage]:
    if questions.documents is None:
        raise RagkitError(f"{questions.name} comes without its documents: name an index to search instead")
    wanted = {name for question in questions.questions for name in question.relevant}
    return {
        document.id: Passage(document.id, document.id, document.text, 0, len(document.text), document.title)
        for document in questions.documents()
        if document.id in wanted
    }


def _given(question: Question, gold: dict[str, Passage]) -> list[Hit]:
    passages = [gold[name] for name, grade in question.relevant.items() if grade > 0 and name in gold]
    return [Hit(passage, 0.0, rank) for rank, passage in enumerate(passages, 1)]


def _supports(question: Question, hits: Iterable[Hit]) -> bool:
    if question.relevant:
        return any(
            question.relevant.get(hit.passage.id, question.relevant.get(hit.passage.document_id, 0)) > 0
            for hit in hits
        )
    return any(answer_in_text(question.answers, hit.passage.text) for hit in hits)


def _miss(question: Question, given: bool, retrieved: bool | None, held: _Holdings) -> Miss:
    if not question.answers:
        return "answered without a basis"
    if retrieved is None and not given:
        return "not in the corpus"
    if retrieved is False:
        return "not retrieved" if held.has(question) else "not in the corpus"
    return "retrieved but not used"
