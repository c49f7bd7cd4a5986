"""The marginal likelihood against brute force, and against transformers' RAG."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import RagConfig, RagSequenceForGeneration, RagTokenForGeneration

from ragkit.training.rag.loss import LOSSES, LossName, sequence_nll, token_nll

PASSAGES, VOCABULARY, LENGTH = 3, 2, 2
ANSWERS = list(itertools.product(range(VOCABULARY), repeat=LENGTH))


class Toy:
    """A question vector and a bigram generator of a 2-word vocabulary for each of 3 passages, in float64."""

    def __init__(self, seed: int = 0) -> None:
        def drawn(*sizes: int) -> Tensor:
            return torch.randn(*sizes, dtype=torch.float64, generator=generator)

        generator = torch.Generator().manual_seed(seed)
        self.question = drawn(4).requires_grad_()
        self.passages = drawn(PASSAGES, 4)
        # logits of the next word by passage and the word before it, the last row standing for the start
        self.table = drawn(PASSAGES, VOCABULARY + 1, VOCABULARY).requires_grad_()

    def nll(self, loss: LossName, answer: tuple[int, ...]) -> Tensor:
        log_p = self.table.log_softmax(-1)
        before = [VOCABULARY, *answer[:-1]]
        tokens = torch.stack([log_p[:, b, y] for b, y in zip(before, answer, strict=True)], -1)
        mask = torch.ones(1, len(answer), dtype=torch.bool)
        return LOSSES[loss]((self.passages @ self.question)[None], tokens[None], mask)[0]

    def by_hand(self, loss: LossName, answer: tuple[int, ...]) -> float:
        """-log p(y|x) by the sums and products of the definition, in Python's floats."""
        odds = (self.passages @ self.question).exp()
        prior = (odds / odds.sum()).tolist()
        p: Any = self.table.softmax(-1).tolist()
        steps = list(zip([VOCABULARY, *answer[:-1]], answer, strict=True))
        total = 0.0
        if loss == "sequence":
            for z in range(PASSAGES):
                product = prior[z]
                for before, y in steps:
                    product *= p[z][before][y]
                total += product
        else:
            total = 1.0
            for before, y in steps:
                total *= sum(prior[z] * p[z][before][y] for z in range(PASSAGES))
        return -float(torch.tensor(total, dtype=torch.float64).log())


@pytest.mark.row(103)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("answer", ANSWERS)
def test_value_and_gradients_are_those_of_brute_force(loss: LossName, answer: tuple[int, ...]) -> None:
    toy = Toy()
    value = toy.nll(loss, answer)
    assert value.item() == pytest.approx(toy.by_hand(loss, answer), abs=1e-12)
    value.backward()
    for parameter in (toy.question, toy.table):
        assert parameter.grad is not None and parameter.grad.abs().max() > 1e-3
        flat, step = parameter.data.view(-1), 1e-6
        for at in range(len(flat)):
            start = flat[at].item()
            ends = []
            for place in (start + step, start - step):
                flat[at] = place
                ends.append(toy.by_hand(loss, answer))
            flat[at] = start
            difference = (ends[0] - ends[1]) / (2 * step)
            assert parameter.grad.view(-1)[at].item() == pytest.approx(difference, abs=1e-8)


@pytest.mark.row(103)
@pytest.mark.parametrize("loss", LOSSES)
def test_all_outputs_of_two_tokens_sum_to_one(loss: LossName) -> None:
    total = torch.stack([-Toy(3).nll(loss, answer) for answer in ANSWERS]).exp().sum()
    assert total.item() == pytest.approx(1, abs=1e-12)


@pytest.mark.row(99)
def test_the_prior_is_over_the_passages_retrieved() -> None:
    scores = torch.tensor([[2.0, 1.0, -1.0]], dtype=torch.float64, requires_grad=True)
    tokens = torch.log(torch.tensor([[[0.5], [0.2], [0.1]]], dtype=torch.float64))
    prior = scores.exp() / scores.exp().sum()
    loss = sequence_nll(scores, tokens, torch.ones(1, 1, dtype=torch.bool))
    torch.testing.assert_close(loss, -torch.log((prior * tokens[..., 0].exp()).sum(-1)))
    loss.sum().backward()
    posterior = prior * tokens[..., 0].exp()
    assert scores.grad is not None
    torch.testing.assert_close(scores.grad, (prior - posterior / posterior.sum()).detach())


def test_what_is_behind_the_end_counts_for_nothing() -> None:
    torch.manual_seed(0)
    scores, tokens = torch.randn(2, 3), -torch.rand(2, 3, 4)
    mask = torch.tensor([[True, True, False, False], [True] * 4])
    for loss in (sequence_nll, token_nll):
        whole = loss(scores, tokens, mask)
        torch.testing.assert_close(whole[:1], loss(scores[:1], tokens[:1, :, :2], mask[:1, :2]))
        torch.testing.assert_close(whole[1:], loss(scores[1:], tokens[1:], mask[1:]))


def oracle(model: Any, passages: int, vocabulary: int) -> Any:
    """transformers' RAG, of which only `get_nll` is asked: its parts hold no weights."""
    encoder = {"model_type": "dpr", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    generator = {"model_type": "bart", "vocab_size": vocabulary, "pad_token_id": 0, "bos_token_id": 1}
    config = RagConfig(question_encoder=encoder, generator=generator, n_docs=passages)
    return model(config=config, question_encoder=torch.nn.Module(), generator=torch.nn.Module())


@pytest.mark.row(103)
@pytest.mark.parametrize(
    "loss, model", [("sequence", RagSequenceForGeneration), ("token", RagTokenForGeneration)]
)
def test_nll_is_that_of_transformers(loss: LossName, model: Any) -> None:
    torch.manual_seed(1)
    batch, k, length, vocabulary = 4, 3, 5, 11
    scores, logits = 3 * torch.randn(batch, k), 2 * torch.randn(batch, k, length, vocabulary)
    answers = torch.randint(3, vocabulary, (batch, length))
    mask = torch.arange(length) < torch.tensor([2, 3, 4, 5])[:, None]
    tokens = logits.log_softmax(-1).gather(-1, answers[:, None, :, None].expand(-1, k, -1, 1))[..., 0]
    # It shifts the target to the left, so that it begins with the decoder's start token; 0 is its padding.
    target = torch.cat([torch.full((batch, 1), 2), answers.masked_fill(~mask, 0)], 1)
    padded = torch.cat([logits, torch.zeros(batch, k, 1, vocabulary)], 2).flatten(0, 1)
    expected = oracle(model, k, vocabulary).get_nll(padded, scores, target, reduce_loss=False)
    torch.testing.assert_close(LOSSES[loss](scores, tokens, mask), expected, rtol=0, atol=1e-5)
