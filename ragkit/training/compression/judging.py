"""How well a model does what it is for, by questions with gold answers or passages.

Reader and generator answer from each question's gold passages (F1); a reranker orders the best passages of
BM25 (nDCG@10); an encoder finds the relevant passages among all that are searched (R@10). All in float32 by
torch, so that models differ by their weights alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ragkit.corpus.document import Document
from ragkit.corpus.questions import Question, QuestionSet
from ragkit.encoders.sentence import passage_text
from ragkit.errors import RagkitError
from ragkit.evaluation.metrics import evaluate_run
from ragkit.evaluation.runs import Run
from ragkit.training.compression.subject import Role, Subject

Values = npt.NDArray[np.float64]
DEPTH = 30
"""Passages a question that a reranker orders."""
POOL = 1000
"""Passages that an encoder searches, beside the relevant ones; drawn with a fixed seed."""


class Judge(ABC):
    """Measures models by the same questions."""

    measure: str

    @abstractmethod
    def values(self, subject: Subject) -> Values:
        """Question by question."""

    def baseline(self) -> tuple[str, Values] | None:
        """What is reached without any model, where that says something."""
        return None


def judge_of(role: Role, questions: QuestionSet) -> Judge:
    """Raises RagkitError where the questions lack what the role is measured by."""
    if role in ("reader", "generator"):
        return AnswerJudge(questions)
    return RerankerJudge(questions) if role == "reranker" else EncoderJudge(questions)


class AnswerJudge(Judge):
    """F1 with the gold passage given. No answer may win only where some question has none."""

    measure = "F1"

    def __init__(self, questions: QuestionSet) -> None:
        if questions.documents is None or not any(question.answers for question in questions.questions):
            raise RagkitError(f"{questions.name}: gold answers and passages are needed, as in SQuAD's JSON")
        self._questions = questions
        self._allow_empty = not all(question.answers for question in questions.questions)

    def values(self, subject: Subject) -> Values:
        from ragkit.evaluation.qa import evaluate_qa
        from ragkit.generation.answerer import Answerer
        from ragkit.generation.rag_sequence import RagSequence
        from ragkit.generation.reader import ExtractiveReader

        answerer: Answerer
        if subject.role == "reader":
            answerer = ExtractiveReader(
                None,
                (subject.network, subject.tokenizer),
                allow_empty=self._allow_empty,
                runtime="torch",
                precision="fp32",
            )
        else:
            answerer = RagSequence(None, subject.whole, min_answer_tokens=0 if self._allow_empty else 2)
        return np.array(evaluate_qa(answerer, self._questions, name=subject.spec).values["F1"])


class RerankerJudge(Judge):
    """nDCG@10 of the `DEPTH` best passages of BM25, ordered by the model alone."""

    measure = "nDCG@10"

    def __init__(self, questions: QuestionSet) -> None:
        from ragkit.index.lexical import rank_by_words

        self._asked = _judged(questions)
        documents = _documents(questions)
        texts = [passage_text(document.title, document.text) for document in documents]
        _, rows = rank_by_words(texts, [question.text for question in self._asked], DEPTH)
        self._candidates = [
            [(documents[row].id, texts[row]) for row in of_question.tolist() if row >= 0]
            for of_question in rows
        ]

    def values(self, subject: Subject) -> Values:
        from ragkit.retrieval.pair_scores import PairScorer

        scorer = PairScorer(subject.network, subject.tokenizer, runtime="torch", precision="fp32")
        pairs = [
            (question.text, text)
            for question, found in zip(self._asked, self._candidates, strict=True)
            for _, text in found
        ]
        scores = iter(scorer.logits(pairs))
        return self._measured([[next(scores) for _ in found] for found in self._candidates])

    def baseline(self) -> tuple[str, Values]:
        order = [[-float(place) for place in range(len(found))] for found in self._candidates]
        return "BM25's own order", self._measured(order)

    def _measured(self, scores: Sequence[Sequence[float]]) -> Values:
        run: Run = {
            question.id: {name: float(s) for (name, _), s in zip(found, of_question, strict=True)}
            for question, found, of_question in zip(self._asked, self._candidates, scores, strict=True)
        }
        qrels = {question.id: question.relevant for question in self._asked}
        return evaluate_run(run, qrels, [self.measure])[self.measure]


class EncoderJudge(Judge):
    """R@10 among the questions' relevant passages and `POOL` others; both sides are encoded anew."""

    measure = "R@10"

    def __init__(self, questions: QuestionSet) -> None:
        self._asked = _judged(questions)
        documents = _documents(questions)
        wanted = {name for question in self._asked for name in question.relevant}
        others = [place for place, document in enumerate(documents) if document.id not in wanted]
        drawn = set(np.random.default_rng(0).permutation(others)[:POOL].tolist())
        self._passages = [d for place, d in enumerate(documents) if d.id in wanted or place in drawn]

    def values(self, subject: Subject) -> Values:
        from ragkit.encoders.loading import load_encoder

        encoder = load_encoder(subject.spec, "torch", "fp32")
        passages = encoder.encode_passages([(d.title, d.text) for d in self._passages])
        asked = encoder.encode_questions([question.text for question in self._asked])
        run: Run = {}
        for question, scores in zip(self._asked, asked @ passages.T, strict=True):
            best = np.argsort(-scores, kind="stable")[:10]
            run[question.id] = {self._passages[row].id: float(scores[row]) for row in best}
        qrels = {question.id: question.relevant for question in self._asked}
        return evaluate_run(run, qrels, [self.measure])[self.measure]


def _judged(questions: QuestionSet) -> list[Question]:
    found = [question for question in questions.questions if question.relevant]
    if questions.documents is None or not found:
        raise RagkitError(
            f"{questions.name}: passages and which are relevant are needed, as in a BEIR folder"
        )
    return found


def _documents(questions: QuestionSet) -> list[Document]:
    assert questions.documents is not None
    return list(questions.documents())
