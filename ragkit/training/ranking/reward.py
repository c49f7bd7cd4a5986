"""A reward model for best of n, from pairwise preferences: a right answer is preferred to a wrong one.

Preferences come from questions with known answers: of the answers that an answerer proposes, one that equals
a gold answer (exact match) is preferred to the likeliest that does not, and to a wrong one drawn at random.
The loss is Plackett-Luce with two items (Bradley-Terry), -log sigma(w . (f(better) - f(worse))), as WebGPT's
(Nakano et al. 2021, section 3.2), with a penalty of w^2 / 2 on standardised features.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ragkit.corpus.questions import Question
from ragkit.errors import RagkitError
from ragkit.evaluation.answers import exact_match, f1
from ragkit.generation.answer import Answer
from ragkit.generation.answerer import Answerer
from ragkit.generation.best_of import FEATURES, BestOf, RewardModel
from ragkit.generation.evidence import Evidence

Array = npt.NDArray[np.float64]

Ranked = tuple[int, tuple[float, ...]]
"""An answer's rank by likelihood, and its features."""

PROPOSED = 16
"""Answers of a question that preferences are drawn from."""
FEWEST = 20
"""Preferences to learn from."""
BATCH = 16
HOLD_ONE_IN = 5


@dataclass(frozen=True, slots=True)
class Preference:
    """Features of the better and of a worse answer to one question, in the order of `FEATURES`."""

    better: tuple[float, ...]
    worse: tuple[float, ...]
    drawn: bool
    """Whether the worse was drawn at random from the wrong ones."""


def propose(
    answerer: Answerer, questions: Sequence[Question], on_questions: Callable[[int], None] | None = None
) -> list[Answer]:
    """Answers each question with passages from the answerer's index."""
    answers: list[Answer] = []
    for at in range(0, len(questions), BATCH):
        answers += answerer.ask_batch([question.text for question in questions[at : at + BATCH]])
        if on_questions:
            on_questions(len(answers))
    return answers


def preferences(
    answers: Sequence[Answer], questions: Sequence[Question], evidence: Evidence, seed: int = 0
) -> list[Preference]:
    """At most two a question: its likeliest right answer above one drawn of those that share no word with a
    gold answer, and above the likeliest that is not right, be it in part."""
    rng = random.Random(seed)
    weigher = BestOf(PROPOSED, RewardModel(dict.fromkeys(FEATURES, 0.0), {}), evidence)
    found = []
    for answer, question in zip(answers, questions, strict=True):
        right: list[Ranked] = []
        part: list[Ranked] = []
        wrong: list[Ranked] = []
        for rank, one in enumerate(weigher.candidates(answer)):  # all rewards are 0: the likeliest first
            score = f1(one.text, question.answers)
            kind = right if exact_match(one.text, question.answers) == 1 else part if score > 0 else wrong
            kind.append((rank, tuple(one.features[name] for name in FEATURES)))
        if not question.answers or not right:
            continue
        drawn = rng.choice(wrong) if wrong else None
        if drawn:
            found.append(Preference(right[0][1], drawn[1], True))
        likeliest = min([*part, *wrong], default=drawn)
        if likeliest != drawn and likeliest is not None:
            found.append(Preference(right[0][1], likeliest[1], False))
    return found


def fit_reward(pairs: Sequence[Preference], about: dict[str, object]) -> RewardModel:
    """The weights of largest penalised likelihood; the same for the same pairs.

    Raises RagkitError for fewer than `FEWEST` pairs.
    """
    from scipy.optimize import minimize

    if len(pairs) < FEWEST:
        raise RagkitError(
            f"{len(pairs)} preferences are too few to learn from ({FEWEST} at least): give more questions "
            "whose answers the index holds"
        )
    differences = np.array([np.subtract(pair.better, pair.worse) for pair in pairs])
    scale = differences.std(axis=0)
    scale[scale == 0] = 1.0
    fitted = minimize(
        lambda w: penalised(differences / scale, w), np.zeros(len(FEATURES)), jac=True, method="L-BFGS-B"
    )
    weights = dict(zip(FEATURES, (fitted.x / scale).tolist(), strict=True))
    return RewardModel(weights, {**about, "preferences": len(pairs)})


def penalised(differences: Array, w: Array) -> tuple[float, Array]:
    """sum -log sigma(w . d) + w^2 / 2 over the rows d, and its gradient."""
    margins = differences @ w
    loss = np.logaddexp(0, -margins).sum() + w @ w / 2
    return float(loss), -differences.T @ np.exp(-np.logaddexp(0, margins)) + w


def ranked_rightly(model: RewardModel, pairs: Sequence[Preference]) -> float:
    """Share of pairs whose better answer has the higher reward; ties count half."""
    w = np.array([model.weights[name] for name in FEATURES])
    margins = np.array([np.dot(w, np.subtract(pair.better, pair.worse)) for pair in pairs])
    return float(((margins > 0) + 0.5 * (margins == 0)).mean())


@dataclass(frozen=True)
class RewardReport:
    """A reward model and what it reaches on the questions left out of its training."""

    model: RewardModel
    preferences: int
    scores: dict[str, float]
    """`preferred`: share of preferences ranked rightly; `EM` of the likeliest answers and of the best."""


def train_reward(
    answerer: Answerer,
    questions: Sequence[Question],
    name: str,
    on_questions: Callable[[int], None] | None = None,
) -> RewardReport:
    """Learns from the answers to four questions of five and measures on every fifth.

    Args:
        answerer: with an index; its `best_of` must not be set.
        name: of the questions, kept with the weights.

    Raises RagkitError where the answers give too few preferences to learn from.
    """
    answers = propose(answerer, questions, on_questions)
    evidence = Evidence(answerer.index)
    held = list(range(0, len(questions), HOLD_ONE_IN))
    learnt = [at for at in range(len(questions)) if at % HOLD_ONE_IN]
    pairs = preferences([answers[at] for at in learnt], [questions[at] for at in learnt], evidence)
    about = {"data": name, "questions": len(learnt), "answerer": answerer.config["model"]}
    model = fit_reward(pairs, about)
    asked, given = [questions[at] for at in held], [answers[at] for at in held]
    measured = preferences(given, asked, evidence)
    if not measured:
        return RewardReport(model, len(pairs), {})
    plain, best = exact_matches(model, given, asked, evidence)
    scores = {"EM likeliest": float(plain.mean()), "EM best": float(best.mean())}
    return RewardReport(model, len(pairs), {"preferred": ranked_rightly(model, measured), **scores})


def exact_matches(
    model: RewardModel, answers: Sequence[Answer], questions: Sequence[Question], evidence: Evidence
) -> tuple[Array, Array]:
    """EM, question by question, of the answers that were given and of those that the model prefers; where
    none was given, none is preferred."""
    weigher = BestOf(PROPOSED, model, evidence)
    golds = [question.answers for question in questions]
    best = [weigher.candidates(answer)[0].text if answer.text.strip() else "" for answer in answers]
    given = [exact_match(answer.text, gold) for answer, gold in zip(answers, golds, strict=True)]
    chosen = [exact_match(text, gold) for text, gold in zip(best, golds, strict=True)]
    return np.array(given), np.array(chosen)
