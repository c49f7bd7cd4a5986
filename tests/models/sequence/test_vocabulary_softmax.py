"""The sampled softmax against the full one."""

import pytest
import torch

from ragkit.models.sequence.vocabulary_softmax import VocabularySoftmax, log_uniform, sampled_softmax_loss

GENERATOR = torch.Generator().manual_seed(0)
ARGUMENTS = (
    torch.randn(6, 8, dtype=torch.float64, generator=GENERATOR),
    torch.tensor([0, 3, 19, 4, 4, 11]),
)


@pytest.mark.row(83)
def test_sampling_every_word_once_is_the_full_softmax() -> None:
    head = VocabularySoftmax(8, 20).double()
    hidden, truth = ARGUMENTS
    full = head(hidden, truth)
    zeros = torch.zeros(20, dtype=torch.float64)
    sampled = sampled_softmax_loss(hidden, truth, head.table, head.bias, torch.arange(20), zeros)
    assert abs(sampled.item() - full.item()) < 1e-12


@pytest.mark.row(83)
def test_log_uniform_sums_to_one_and_falls() -> None:
    q = log_uniform(1000)
    assert abs(q.sum().item() - 1) < 1e-12 and (q.diff() < 0).all()


@pytest.mark.row(83)
def test_gradient_tends_to_the_full_one_and_evaluation_is_full() -> None:
    torch.manual_seed(0)
    head = VocabularySoftmax(8, 20, samples=400).double()
    hidden, truth = ARGUMENTS
    full = torch.autograd.grad(head.eval()(hidden, truth), head.table)[0]

    def error(samples: int) -> float:
        sampled = VocabularySoftmax(8, 20, samples).double().train()
        sampled.load_state_dict(head.state_dict())
        draws = [torch.autograd.grad(sampled(hidden, truth), sampled.table)[0] for _ in range(20)]
        return float((torch.stack(draws).mean(0) - full).norm() / full.norm())

    assert error(2000) < 0.03 < error(3)
