"""Fits the probability that an answer is right on questions whose answers are known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ragkit.corpus.questions import Question
from ragkit.errors import RagkitError
from ragkit.evaluation.abstention import Labels, Values, auroc, calibration_error, interval, risk_coverage
from ragkit.evaluation.answers import f1
from ragkit.evaluation.progress import OnQuestions
from ragkit.evaluation.statistics import Estimate
from ragkit.generation.answer import Answer
from ragkit.generation.answerer import Answerer
from ragkit.generation.confidence import Calibration, Operating, features

RIGHT_F1 = 0.5
"""An answer is right if its F1 reaches this: it says the same in a few words more or fewer."""
FOLDS = 5
BATCH = 32
FEWEST = 40
"""Questions, and of right and of wrong answers `FOLDS` each."""
POINTS = 20
"""Thresholds that a risk can be promised at, by coverage: 5 %, 10 %, ..., 100 %."""
STRENGTH = 1.0
"""Of scikit-learn's L2 penalty (its C) over standardised features."""


@dataclass(frozen=True)
class CalibrationReport:
    """Every number is of questions left out of the fit that judged them.

    Attributes:
        confidence: p(right) of each question, (n,).
        right: whether its answer is, (n,).
        best_score: the highest retrieval score of each question, (n,).
        auroc, auroc_of_score: of the confidence and of the score alone; `gain` their paired difference.
    """

    calibration: Calibration
    confidence: Values
    right: Labels
    best_score: Values
    auroc: Estimate
    auroc_of_score: Estimate
    gain: Estimate
    calibration_error: float
    area: float

    def to_json(self) -> dict[str, Any]:
        """What is worth writing down: all but the single questions."""
        curve = risk_coverage(self.confidence, self.right)
        return {
            "questions": len(self.right),
            "right": float(self.right.mean()),
            "auroc": self.auroc.mean,
            "auroc_of_score": self.auroc_of_score.mean,
            "gain": [self.gain.mean, self.gain.low, self.gain.high],
            "calibration_error": self.calibration_error,
            "aurc": self.area,
            "coverage_at_risk": {str(r): curve.coverage_at(r) for r in (0.05, 0.1, 0.2, 0.3)},
        }


def is_right(answer: Answer, question: Question) -> bool:
    """Any answer to a question that has none is wrong."""
    return bool(question.answers) and f1(answer.text, question.answers) >= RIGHT_F1


@dataclass(frozen=True, slots=True)
class Graded:
    """What a calibration is made from, of one question: the `features` of its answer, whether that is right,
    and the highest retrieval score."""

    features: tuple[float, ...]
    right: bool
    best_score: float


def graded(answer: Answer, question: Question) -> Graded | None:
    """None where there is no answer to grade."""
    if not answer.text:
        return None
    score = max(support.score for support in answer.support)
    return Graded(tuple(features(answer).tolist()), is_right(answer, question), score)


def answer_and_grade(
    answerer: Answerer, questions: Sequence[Question], on_questions: OnQuestions | None = None
) -> list[Graded]:
    """Asks every question and grades what comes back; questions for which nothing was found are left out."""
    records = []
    for at in range(0, len(questions), BATCH):
        some = questions[at : at + BATCH]
        answers = answerer.ask_batch([question.text for question in some])
        found = (graded(answer, question) for answer, question in zip(answers, some, strict=True))
        records += [record for record in found if record is not None]
        if on_questions is not None:
            on_questions(min(at + BATCH, len(questions)), len(questions))
    return records


def calibrate(
    records: Sequence[Graded], config: Mapping[str, Any], fitted_on: str, seed: int = 0
) -> CalibrationReport:
    """Logistic regression on `confidence.FEATURES`, judged by cross-validation in `FOLDS` parts.

    Args:
        records: of an answerer that may not answer "nothing" (`allow_empty=False`), so that every question
            has an answer to grade.
        config: the answerer's.
        fitted_on: what data, in words.

    Raises RagkitError where there is too little to learn from.
    """
    from sklearn.linear_model import LogisticRegression

    labels = np.array([record.right for record in records], dtype=bool)
    if len(labels) < FEWEST or min(labels.sum(), (~labels).sum()) < FOLDS:
        raise RagkitError(
            f"{len(labels)} answers, {int(labels.sum())} of them right, are too few to calibrate on: give "
            f"{FEWEST} questions with {FOLDS} right and {FOLDS} wrong answers, some without an answer in the "
            "documents among them"
        )
    x = np.array([record.features for record in records])
    means, scales = x.mean(axis=0), x.std(axis=0)
    scales[scales < 1e-9] = 1.0
    z = (x - means) / scales
    fold = np.random.default_rng(seed).permutation(np.arange(len(z)) % FOLDS)
    confidence = np.empty(len(z))
    for part in range(FOLDS):
        model = LogisticRegression(C=STRENGTH, max_iter=1000)
        if len(set(labels[fold != part].tolist())) == 1:  # a fold took all right or all wrong answers
            confidence[fold == part] = labels[fold != part].mean()
            continue
        model.fit(z[fold != part], labels[fold != part])
        confidence[fold == part] = model.predict_proba(z[fold == part])[:, 1]
    model = LogisticRegression(C=STRENGTH, max_iter=1000).fit(z, labels)
    calibration = Calibration(
        config=dict(config),
        means=tuple(means.round(6).tolist()),
        scales=tuple(scales.round(6).tolist()),
        weights=tuple(model.coef_[0].round(6).tolist()),
        intercept=round(float(model.intercept_[0]), 6),
        questions=len(z),
        curve=_curve(confidence, labels),
        fitted_on=fitted_on,
    )
    scores = np.array([record.best_score for record in records])
    return CalibrationReport(
        calibration,
        confidence,
        labels,
        scores,
        interval(auroc, confidence, labels),
        interval(auroc, scores, labels),
        interval(lambda a, b, of: auroc(a, of) - auroc(b, of), confidence, scores, labels),
        calibration_error(confidence, labels),
        risk_coverage(confidence, labels).area,
    )


def _curve(confidence: Values, right: Labels) -> tuple[Operating, ...]:
    order = np.sort(confidence)[::-1]
    at = np.ceil(np.arange(1, POINTS + 1) / POINTS * len(order)).astype(int) - 1
    thresholds = np.unique(order[at].round(6))[::-1]
    thresholds[-1] = 0.0  # everything
    return tuple(
        Operating(float(t), int((confidence >= t).sum()), int((~right[confidence >= t]).sum()))
        for t in thresholds
    )
