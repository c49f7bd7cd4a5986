"""Hard negatives for retrievers: passages that an index takes for the answer to a question and that are none.

DPR took its hard negatives from BM25 (Karpukhin et al. 2020, section 3.2), ANCE from the dense retriever
that is being trained (Xiong et al. 2021); here both sides of one index give them in turn. What might be an
answer after all is left out: a passage that holds an answer as DPR's `has_answer` finds it, and one whose
dense score comes within a margin of the positive's (NV-Retriever, Moreira et al. 2024, "TopK-PercPos").
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ragkit.corpus.document import Passage
from ragkit.corpus.normalisation import normalise
from ragkit.corpus.questions import Question, QuestionSet
from ragkit.encoders.encoder import Vectors
from ragkit.errors import RagkitError
from ragkit.evaluation.answers import answer_in_normalised
from ragkit.evaluation.progress import OnQuestions
from ragkit.index.vector_index import Ids
from ragkit.retrieval.index import Index

QUESTIONS_AT_ONCE = 128
DEPTH = 100
"""Candidates of each side."""


@dataclass(frozen=True, slots=True)
class MiningSettings:
    """How negatives are chosen.

    `negatives` a question at most. A candidate is left out whose dense score s exceeds p - margin * |p|,
    where p is the best positive's; 0 leaves out only what scores above the positive, None leaves out
    nothing by score.
    """

    negatives: int = 4
    margin: float | None = 0.05


@dataclass(slots=True)
class MiningReport:
    """What became of the questions, and of the candidates that were not taken."""

    questions: int = 0
    written: int = 0
    without_positive: int = 0
    """Questions for which the index holds no passage that answers them: left out."""
    without_negative: int = 0
    """Questions that were written with no hard negative: every candidate might have been an answer."""
    negatives: int = 0
    with_answer: int = 0
    """Candidates left out because they hold an answer."""
    within_margin: int = 0
    """Candidates left out because they score too close to the positive, or above it."""


@dataclass(slots=True)
class Mined:
    """A question with the rows of its passages in the index and their dense scores."""

    question: Question
    positives: list[tuple[int, float]] = field(default_factory=list)
    negatives: list[tuple[int, float]] = field(default_factory=list)


def mine(
    index: Index,
    questions: QuestionSet,
    out: Path,
    settings: MiningSettings | None = None,
    on_questions: OnQuestions | None = None,
) -> MiningReport:
    """Writes the questions with positives and hard negatives to `out`, as DPR's JSON.

    Positives are the passages that are judged relevant. Where a judgement names a document of several
    passages, and where a question has answers and no judgement, the best-ranked passage that holds an
    answer is taken (DPR's distant supervision); of a document without one, its best-ranked passage.

    Raises:
        RagkitError: if the index has no lexical part, or knows a positive to none of the questions.
    """
    settings = settings or MiningSettings()
    report = MiningReport()
    aside = out.with_name(f".writing-{out.name}")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with aside.open("w", encoding="utf-8") as file:
            for number, entry in enumerate(_entries(index, questions, settings, report, on_questions)):
                file.write(",\n" if number else "[\n")
                json.dump(entry, file, ensure_ascii=False)
            file.write("\n]\n")
        if not report.written:
            raise RagkitError(
                f"{index.path} holds no passage that answers a question of {questions.name}: build the index "
                "from the documents that the questions are about, and keep their ids"
            )
        aside.replace(out)
    finally:
        aside.unlink(missing_ok=True)
    return report


def _entries(
    index: Index,
    questions: QuestionSet,
    settings: MiningSettings,
    report: MiningReport,
    on_questions: OnQuestions | None,
) -> Iterator[dict[str, Any]]:
    miner = Miner(index, settings, report)
    asked = questions.questions
    for at in range(0, len(asked), QUESTIONS_AT_ONCE):
        for mined in miner.mine(asked[at : at + QUESTIONS_AT_ONCE]):
            yield _dpr_entry(mined, index, questions.name)
        if on_questions is not None:
            on_questions(min(at + QUESTIONS_AT_ONCE, len(asked)), len(asked))


class Miner:
    """Chooses passages of one index; remembers their texts as answers are looked for in them."""

    def __init__(self, index: Index, settings: MiningSettings, report: MiningReport) -> None:
        self._index, self._settings, self._report = index, settings, report
        self._rows = index.rows_by_id()
        self._normalised: dict[int, str] = {}

    def mine(self, questions: Sequence[Question]) -> Iterator[Mined]:
        """The questions that have a positive, in order."""
        texts = [question.text for question in questions]
        vectors = self._index.encoder.encode_questions(texts)
        depth = min(DEPTH, len(self._index))
        dense_scores, dense_rows = self._index.dense_candidates(vectors, depth)
        _, lexical_rows = self._index.lexical_candidates(texts, depth)
        for at, question in enumerate(questions):
            self._report.questions += 1
            score_of = dict(zip(dense_rows[at].tolist(), dense_scores[at].tolist(), strict=True))
            ranked = _in_turn(dense_rows[at], lexical_rows[at])
            relevant = {row for name in _relevant(question) for row in self._rows.get(name, [])}
            positives = self._positives(question, relevant, ranked)
            if not positives:
                self._report.without_positive += 1
                continue
            score_of |= self._dense(vectors[at], {*ranked, *positives} - score_of.keys())
            scored = [(row, score_of[row]) for row in positives]
            others = [(row, score_of[row]) for row in ranked if row not in relevant and row not in positives]
            negatives = self._negatives(question, others, max(score for _, score in scored))
            self._report.written += 1
            self._report.negatives += len(negatives)
            self._report.without_negative += not negatives
            yield Mined(question, scored, negatives)

    def _positives(self, question: Question, relevant: set[int], ranked: list[int]) -> list[int]:
        whole = [rows[0] for name in _relevant(question) if len(rows := self._rows.get(name, [])) == 1]
        if whole:
            return list(dict.fromkeys(whole))
        if not question.relevant:
            return [row for row in ranked if self._holds_answer(question, row)][:1]
        parts = [row for row in ranked if row in relevant] or sorted(relevant)
        return [row for row in parts if self._holds_answer(question, row)][:1] or parts[:1]

    def _negatives(
        self, question: Question, candidates: list[tuple[int, float]], best: float
    ) -> list[tuple[int, float]]:
        """The first of the candidates that are no answer, for all that can be told."""
        margin = self._settings.margin
        ceiling = np.inf if margin is None else best - margin * abs(best)
        taken: list[tuple[int, float]] = []
        for row, score in candidates:
            if len(taken) == self._settings.negatives:
                break
            if score > ceiling:
                self._report.within_margin += 1
            elif self._holds_answer(question, row):
                self._report.with_answer += 1
            else:
                taken.append((row, score))
        return taken

    def _holds_answer(self, question: Question, row: int) -> bool:
        if not question.answers:
            return False
        if row not in self._normalised:
            passage = self._index.passage(row)
            self._normalised[row] = normalise(f"{passage.title}\n{passage.text}")
        return answer_in_normalised(question.answers, self._normalised[row])

    def _dense(self, vector: Vectors, rows: set[int]) -> dict[int, float]:
        """The dense score of each of the rows, whatever their rank."""
        ids: Ids = np.array(sorted(rows), dtype=np.int64)
        if not len(ids):
            return {}
        scores, found = self._index.dense_candidates(vector[None], len(ids), ids)
        return dict(zip(found[0].tolist(), scores[0].tolist(), strict=True))


def _relevant(question: Question) -> list[str]:
    return [name for name, grade in question.relevant.items() if grade > 0]


def _in_turn(dense: Ids, lexical: Ids) -> list[int]:
    """The rows of both rankings by turns, best first, each once; padding left out."""
    rows = np.stack([dense, lexical], axis=1).ravel()
    return list(dict.fromkeys(rows[rows >= 0].tolist()))


def _dpr_entry(mined: Mined, index: Index, dataset: str) -> dict[str, Any]:
    return {
        "id": mined.question.id,
        "dataset": dataset,
        "question": mined.question.text,
        "answers": mined.question.answers,
        "positive_ctxs": [_context(index.passage(row), score) for row, score in mined.positives],
        "negative_ctxs": [],
        "hard_negative_ctxs": [_context(index.passage(row), score) for row, score in mined.negatives],
    }


def _context(passage: Passage, score: float) -> dict[str, Any]:
    return {
        "title": passage.title,
        "text": passage.text,
        "score": round(score, 6),
        "passage_id": passage.id,
    }
