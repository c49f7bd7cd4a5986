"""Rows 77 and 87: lengths and padding of the recurrent models."""

import pytest
import torch

from ragkit.models.sequence.additive_attention import AttentiveEncoderDecoder
from ragkit.models.sequence.many_to_one import ManyToOne
from ragkit.models.sequence.one_to_many import OneToMany

SOURCE = torch.tensor([[3, 4, 5, 6, 7, 8], [5, 3, 4, 0, 0, 0]])
LENGTHS = torch.tensor([6, 3])
INPUTS = torch.tensor([[1, 4, 5, 6], [1, 3, 3, 5]])


@pytest.mark.row(77)
def test_many_to_one_reads_to_the_end_of_each_sequence_and_no_further() -> None:
    model = ManyToOne(9, 4, 6, 2).double()
    logits = model(SOURCE, LENGTHS)
    assert (model(SOURCE[1:, :3], LENGTHS[1:]) - logits[1:]).abs().max() < 1e-12
    changed = SOURCE.clone()
    changed[1, 3:] = 8
    assert (model(changed, LENGTHS) - logits).abs().max() < 1e-12
    changed[1, 2] = 8
    assert (model(changed, LENGTHS) - logits)[1].abs().max() > 1e-6


@pytest.mark.row(77)
def test_one_to_many_by_steps_and_at_once() -> None:
    model = OneToMany(3, 9, 4, 6).double()
    objects = torch.tensor([0, 2])
    whole, state = model(objects, INPUTS), model.start(objects)
    for at in range(4):
        logits, state = model.decoder.step(INPUTS[:, at], state)
        assert (logits - whole[:, at]).abs().max() < 1e-12
    assert (model(torch.tensor([1, 2]), INPUTS) - whole)[0].abs().max() > 1e-6


@pytest.mark.row(87)
def test_alignment_rows_sum_to_one_and_padding_gets_nothing() -> None:
    _, weights = AttentiveEncoderDecoder(9, 9, 4, 6)(SOURCE, LENGTHS, INPUTS)
    assert weights.shape == (2, 4, 6)
    assert (weights.sum(-1) - 1).abs().max() < 1e-6 and not weights[1, :, 3:].any()
