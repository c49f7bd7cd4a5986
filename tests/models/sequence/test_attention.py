"""Rows 87 to 90: additive, scaled dot-product and multi-head attention, positional encodings."""

import pytest
import torch

from ragkit.models.sequence.multi_head import MultiHeadAttention
from ragkit.models.sequence.positional import LearnedPositions, SinusoidalPositions, sinusoids
from ragkit.models.sequence.self_attention import SelfAttention, attention_weights


def double(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


@pytest.mark.row(88)
def test_scale_is_the_root_of_the_key_width() -> None:
    """The 8 of the notes' table is √64: scores of independent unit vectors keep a variance of 1."""
    torch.manual_seed(0)
    query, key = torch.randn(400, 64), torch.randn(400, 64)
    logits = attention_weights(query, key).log()
    difference = logits - logits.mean(1, keepdim=True)  # the softmax forgets a constant
    assert abs(difference.var() - 1) < 0.05
    by_hand = query @ key.T / 8
    assert (difference - (by_hand - by_hand.mean(1, keepdim=True))).abs().max() < 1e-4


@pytest.mark.row(88)
def test_the_notes_form_is_the_projected_one_with_identities() -> None:
    x = double(2, 4, 6)
    notes = SelfAttention(6, variant="notes").double()
    standard = SelfAttention(6).double()
    assert not list(notes.parameters()) and len(list(standard.parameters())) == 3
    assert (notes(x) - standard(x)).abs().max() > 1e-3
    with torch.no_grad():
        for linear in (standard.query, standard.key, standard.value):
            linear.weight.copy_(torch.eye(6))  # type: ignore[operator]
    assert (notes(x) - standard(x)).abs().max() < 1e-12
    assert SelfAttention(6, 3)(torch.randn(2, 4, 6)).shape == (2, 4, 3)


@pytest.mark.row(89)
def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="5 heads"):
        MultiHeadAttention(12, 5)


@pytest.mark.row(89)
def test_weights_are_those_that_are_read_with() -> None:
    layer, query, memory = MultiHeadAttention(12, 3).double(), double(2, 4, 12), double(2, 5, 12)
    values = layer.keys_values(memory)[1]
    read = (layer.weights(query, memory) @ values).transpose(1, 2).flatten(2)
    assert (layer.out(read) - layer(query, memory)).abs().max() < 1e-12


@pytest.mark.row(90)
def test_a_first_position_moves_all() -> None:
    x = double(1, 6, 8)
    for positions in (SinusoidalPositions(), LearnedPositions(10, 8).double()):
        assert (positions(x[:, 2:], first=2) - positions(x)[:, 2:]).abs().max() < 1e-12


@pytest.mark.row(90)
def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="odd"):
        sinusoids(torch.arange(3), 5)
    with pytest.raises(ValueError, match="11 tokens"):
        LearnedPositions(10, 4)(torch.zeros(1, 2, 4), first=9)
