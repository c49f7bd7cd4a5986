"""Each loss against its formula, in double precision."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ragkit.training.ranking.data import RankedList
from ragkit.training.ranking.losses import LossName, columns, first_choice, ranking_loss
from ragkit.training.retrieval.data import RetrievalSet

PASSAGES = [("", letter) for letter in "abcdefg"]
LOGITS = dict(zip("abcdefg", (0.3, -1.2, 2.0, 0.7, -0.4, 1.1, 0.1), strict=True))
DATA = RetrievalSet("letters", PASSAGES, [])
LISTS = [RankedList(DATA, "first", (0, 1, 2, 3)), RankedList(DATA, "second", (4, 5, 6))]


@pytest.fixture
def cross() -> Any:
    """A cross-encoder whose logit of a passage is looked up: only what the losses ask of one is real."""
    from sentence_transformers import CrossEncoder

    class Looked(CrossEncoder):
        num_labels = 1
        device = torch.device("cpu")

        def __init__(self) -> None:
            nn.Module.__init__(self)
            values = torch.tensor(list(LOGITS.values()), dtype=torch.float64)
            self.logits = nn.Parameter(values)

        def preprocess(self, pairs: list[tuple[str, str]], **_: Any) -> dict[str, Tensor]:
            return {"rows": torch.tensor([list(LOGITS).index(passage) for _, passage in pairs])}

        def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
            return {"scores": self.logits[features["rows"]][:, None]}

    return Looked()


def loss_of(cross: Any, name: LossName, batch: list[RankedList]) -> Tensor:
    given = columns(name, batch)
    labels: Any = [torch.tensor(row) for row in given["label"]]
    inputs = [column for key, column in given.items() if key != "label"]
    return ranking_loss(cross, name)(inputs, torch.stack(labels) if name == "bce" else labels)


def logits(batch: list[RankedList]) -> list[list[float]]:
    return [[LOGITS[text] for text in one.texts] for one in batch]


def test_bce_is_the_mean_of_every_pair_by_itself(cross: Any) -> None:
    pairs = [(r, y) for one, rs in zip(LISTS, logits(LISTS), strict=True)
             for r, y in zip(rs, one.labels, strict=True)]  # fmt: skip
    sigmas = [(1 / (1 + math.exp(-r)), y) for r, y in pairs]
    by_hand = -sum(math.log(s if y else 1 - s) for s, y in sigmas) / len(sigmas)
    assert loss_of(cross, "bce", LISTS).item() == pytest.approx(by_hand, rel=1e-6)


def test_listmle_is_plackett_luce_summed_over_the_orders_of_the_rest(cross: Any) -> None:
    """P(the relevant one first) as a sum over all orders that begin with it, each by its choices."""
    from itertools import permutations

    def plackett_luce(order: tuple[float, ...]) -> float:
        return math.prod(
            math.exp(r) / sum(math.exp(other) for other in order[k:]) for k, r in enumerate(order)
        )

    by_hand = 0.0
    for first, *rest in logits(LISTS):
        by_hand -= math.log(sum(plackett_luce((first, *order)) for order in permutations(rest))) / len(LISTS)
    assert loss_of(cross, "listmle", LISTS).item() == pytest.approx(by_hand, rel=1e-6)


def test_lambda_loss_weighs_pairs_by_what_they_change_of_ndcg(cross: Any) -> None:
    def discount(rank: int) -> float:
        return math.log2(1 + rank)

    terms = []
    for one, rs in zip(LISTS, logits(LISTS), strict=True):
        ranks = {at: 1 + sum(other > r for other in rs) for at, r in enumerate(rs)}
        ideal = 1 / discount(1)  # one relevant passage of gain 2^1 - 1
        for j in range(1, len(one.passages)):
            apart = abs(ranks[0] - ranks[j])
            bound = abs(1 / discount(apart) - 1 / discount(apart + 1))
            swap = abs(1 / discount(ranks[0]) - 1 / discount(ranks[j]))
            weight = (1 / ideal) * (10 * bound + swap)
            terms.append(-weight * math.log2(1 / (1 + math.exp(rs[j] - rs[0]))))
    by_hand = sum(terms) / len(terms)
    assert loss_of(cross, "lambda", LISTS).item() == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("name", ["bce", "listmle", "lambda"])
def test_the_relevant_passage_is_pushed_up_and_every_other_down(cross: Any, name: LossName) -> None:
    loss_of(cross, name, LISTS[:1]).backward()
    gradient = cross.logits.grad
    assert gradient[0] < 0 and (gradient[1:4] > 0).all()


def test_the_first_choice_alone_weighs() -> None:
    mask = torch.tensor([[True, True, True], [True, True, False]])
    assert first_choice(mask).tolist() == [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
