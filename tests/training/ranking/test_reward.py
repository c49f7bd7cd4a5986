import numpy as np
import pytest
import torch

from ragkit.corpus.document import Passage
from ragkit.corpus.questions import Question
from ragkit.errors import RagkitError
from ragkit.generation.answer import Answer, Support
from ragkit.generation.best_of import FEATURES, RewardModel
from ragkit.generation.evidence import Evidence
from ragkit.models.basics.likelihoods.plackett_luce import PlackettLuce
from ragkit.training.ranking.reward import (
    FEWEST,
    Preference,
    exact_matches,
    fit_reward,
    penalised,
    preferences,
    ranked_rightly,
)

PASSAGE = Passage("p", "d", "Ann Lee built the bridge in 1894, and Bob fell off it.", 0, 54)


def answer(*candidates: str) -> Answer:
    scored = [(text, -float(rank)) for rank, text in enumerate(candidates)]
    return Answer("Who built it?", *scored[0], [Support(PASSAGE, 1.0, 0.0, 1.0)], scored[1:])


def drawn(count: int, truth: np.ndarray, seed: int) -> list[Preference]:
    """Pairs whose order is drawn by sigma(truth . difference)."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, count, len(FEATURES)))
    a_wins = rng.random(count) < 1 / (1 + np.exp(-(a - b) @ truth))
    return [
        Preference(tuple(x if wins else y), tuple(y if wins else x), True)
        for x, y, wins in zip(a.tolist(), b.tolist(), a_wins, strict=True)
    ]


def test_the_loss_is_plackett_luce_with_two_items() -> None:
    rng = np.random.default_rng(0)
    better, worse = rng.normal(size=(2, 30, len(FEATURES)))
    w = rng.normal(size=len(FEATURES))
    rewards = torch.tensor(np.stack([better @ w, worse @ w], axis=1))
    expected = PlackettLuce(2).nll(rewards, torch.tensor([[0, 1]]).expand(30, 2)).sum().item()
    loss, gradient = penalised(better - worse, w)
    assert loss - w @ w / 2 == pytest.approx(expected, rel=1e-12)
    for i, unit in enumerate(np.eye(len(FEATURES)) * 1e-6):
        above, below = penalised(better - worse, w + unit)[0], penalised(better - worse, w - unit)[0]
        assert gradient[i] == pytest.approx((above - below) / 2e-6, abs=1e-4)


@pytest.mark.row(109)
def test_weights_behind_preferences_are_found() -> None:
    truth = np.array([2.0, -1.0, 0.0, 0.5, 0.0, 1.5, -2.0])
    model = fit_reward(drawn(4000, truth, 0), {"data": "drawn"})
    assert np.allclose(list(model.weights.values()), truth, atol=0.2)
    assert fit_reward(drawn(4000, truth, 0), {"data": "drawn"}) == model
    held = drawn(2000, truth, 1)
    true_model = RewardModel(dict(zip(FEATURES, truth.tolist(), strict=True)), {})
    assert ranked_rightly(model, held) == pytest.approx(ranked_rightly(true_model, held), abs=0.01)
    with pytest.raises(RagkitError, match="too few"):
        fit_reward(held[: FEWEST - 1], {})


def test_a_right_answer_is_preferred_to_a_wrong_one_drawn_and_to_the_likeliest_not_right() -> None:
    golds = [["Ann Lee"], ["Ann Lee"], ["Ann Lee"], ["Ann Lee"], []]
    questions = [Question(str(i), "Who built it?", gold) for i, gold in enumerate(golds)]
    answers = [
        answer("Lee", "Ann Lee", "Bob", "1894"),
        answer("Bob", "Ann Lee", "Lee"),
        answer("Ann Lee", "Lee"),  # no wrong one, but one that is right in part
        answer("Bob", "1894"),  # no right one
        answer("Bob", "1894"),  # none known
    ]
    found = preferences(answers, questions, Evidence(), seed=1)
    log_p = [(pair.better[0], pair.worse[0], pair.drawn) for pair in found]
    assert log_p[0][1] in (-2.0, -3.0)
    assert [(log_p[0][0], log_p[0][2]), *log_p[1:]] == [
        (-1.0, True),
        (-1.0, 0.0, False),
        (-1.0, 0.0, True),  # the likeliest one is the one drawn
        (0.0, -1.0, False),
    ]


def test_ties_count_half_and_no_answer_stays_none() -> None:
    zeros = (0.0,) * len(FEATURES)
    indifferent = RewardModel(dict.fromkeys(FEATURES, 0.0), {})
    assert ranked_rightly(indifferent, [Preference(zeros, zeros, True)]) == 0.5
    short = RewardModel(dict.fromkeys(FEATURES, 0.0) | {"length": -1.0}, {})
    questions = [Question("a", "Who built it?", ["Bob"]), Question("b", "Who?", ["Ann Lee"])]
    plain, best = exact_matches(
        short, [answer("Ann Lee", "Bob"), answer("", "Ann Lee")], questions, Evidence()
    )
    assert (plain.tolist(), best.tolist()) == ([0.0, 0.0], [1.0, 0.0])
