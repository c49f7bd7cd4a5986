"""Rows 87 to 90: additive, scaled dot-product and multi-head attention, positional encodings."""

import math

import pytest
import torch
from torch.nn import functional

from ragkit.models.sequence.additive_attention import AdditiveAttention
from ragkit.models.sequence.masks import causal_mask, padding_mask
from ragkit.models.sequence.multi_head import MultiHeadAttention
from ragkit.models.sequence.positional import LearnedPositions, SinusoidalPositions, sinusoids
from ragkit.models.sequence.self_attention import SelfAttention, attention, attention_weights


def double(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


@pytest.mark.row(87)
def test_additive_attention_by_hand() -> None:
    layer = AdditiveAttention(3, 4, 5).double()
    query, memory = double(2, 3), double(2, 6, 4)
    real = torch.tensor([[True] * 6, [True] * 2 + [False] * 4])
    context, weights = layer(query, memory, real)
    v, w, b, u = layer.score.weight[0], layer.query.weight, layer.query.bias, layer.memory.weight
    for row, length in enumerate((6, 2)):
        scores = torch.stack([v @ torch.tanh(w @ query[row] + b + u @ h) for h in memory[row, :length]])
        expected = scores.exp() / scores.exp().sum()
        assert (weights[row, :length] - expected).abs().max() < 1e-12
        assert not weights[row, length:].any()
        assert (context[row] - expected @ memory[row, :length]).abs().max() < 1e-12
    assert (weights.sum(1) - 1).abs().max() < 1e-12


@pytest.mark.row(88)
@pytest.mark.parametrize("masked", ["none", "causal", "padding"])
def test_scaled_dot_product_equals_torch_with_gradients(masked: str) -> None:
    torch.manual_seed(0)
    query, key, value = double(2, 3, 5, 8), double(2, 3, 5, 8), double(2, 3, 5, 6)
    real = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    mask = {"none": None, "causal": causal_mask(5), "padding": padding_mask(real)}[masked]
    ours = attention(query, key, value, mask)
    theirs = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    assert (ours - theirs).abs().max() < 1e-10
    weights = torch.randn_like(ours)
    for a, b in zip(
        torch.autograd.grad((ours * weights).sum(), [query, key, value]),
        torch.autograd.grad((theirs * weights).sum(), [query, key, value]),
        strict=True,
    ):
        assert (a - b).abs().max() < 1e-10


@pytest.mark.row(88)
def test_a_row_that_may_see_nothing_is_zero_and_so_is_its_gradient() -> None:
    query, key, value = double(4, 3), double(5, 3), double(5, 3)
    mask = torch.ones(4, 5, dtype=torch.bool)
    mask[2] = False
    result = attention(query, key, value, mask)
    result.sum().backward()
    assert not result[2].any() and result.isfinite().all()
    assert query.grad is not None and not query.grad[2].any() and query.grad.isfinite().all()
    assert torch.equal(
        attention_weights(query, key, mask).sum(1).round(decimals=9)[[2]], torch.zeros(1).double()
    )


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
@pytest.mark.parametrize("padded", [False, True])
def test_multi_head_equals_torch_with_gradients(padded: bool) -> None:
    torch.manual_seed(0)
    theirs = torch.nn.MultiheadAttention(12, 3, batch_first=True).double()
    ours = MultiHeadAttention(12, 3).double()
    copy_heads(theirs, ours)
    query, memory = double(2, 4, 12), double(2, 5, 12)
    real = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    mask = padding_mask(real) if padded else None
    expected = theirs(query, memory, memory, key_padding_mask=real == 0 if padded else None)[0]
    result = ours(query, memory, mask)
    assert (result - expected).abs().max() < 1e-10
    weights = torch.randn_like(result)
    first = torch.autograd.grad((expected * weights).sum(), [query, memory, theirs.in_proj_weight])
    parts = [ours.query.weight, ours.key.weight, ours.value.weight]
    second = torch.autograd.grad((result * weights).sum(), [query, memory, *parts])
    assert (first[0] - second[0]).abs().max() < 1e-10 and (first[1] - second[1]).abs().max() < 1e-10
    assert (first[2] - torch.cat(second[2:])).abs().max() < 1e-10


def copy_heads(theirs: torch.nn.MultiheadAttention, ours: MultiHeadAttention) -> None:
    with torch.no_grad():
        for at, part in enumerate((ours.query, ours.key, ours.value)):
            part.weight.copy_(theirs.in_proj_weight.chunk(3)[at])
            part.bias.copy_(theirs.in_proj_bias.chunk(3)[at])
        ours.out.load_state_dict(theirs.out_proj.state_dict())


@pytest.mark.row(89)
def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="5 heads"):
        MultiHeadAttention(12, 5)


@pytest.mark.row(90)
def test_sinusoids_by_formula() -> None:
    table = sinusoids(torch.arange(50), 16)
    for position in (0, 1, 7, 49):
        for i in range(8):
            angle = position / 10000 ** (2 * i / 16)
            assert abs(table[position, 2 * i].item() - math.sin(angle)) < 1e-12
            assert abs(table[position, 2 * i + 1].item() - math.cos(angle)) < 1e-12


@pytest.mark.row(90)
def test_a_shift_is_one_linear_map_for_all_positions() -> None:
    """Each pair of sine and cosine turns by k times its frequency, wherever it stands."""
    table = sinusoids(torch.arange(200), 16)
    frequencies = 10000 ** (-torch.arange(0, 16, 2, dtype=torch.float64) / 16)
    for k in (1, 5, 30):
        turns = [
            torch.tensor([[math.cos(k * f), -math.sin(k * f)], [math.sin(k * f), math.cos(k * f)]])
            for f in frequencies.tolist()
        ]
        shift = torch.block_diag(*turns).double()
        assert (table[:-k] @ shift - table[k:]).abs().max() < 1e-6


@pytest.mark.row(90)
def test_without_positions_order_is_unseen_and_with_them_it_is_seen() -> None:
    torch.manual_seed(0)
    layer, x = MultiHeadAttention(8, 2).double(), double(1, 6, 8)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    assert (layer(x[:, order], x[:, order]) - layer(x, x)[:, order]).abs().max() < 1e-12
    for positions in (SinusoidalPositions(), LearnedPositions(10, 8).double()):
        placed, moved = positions(x), positions(x[:, order])
        assert (layer(moved, moved) - layer(placed, placed)[:, order]).abs().max() > 1e-4
        assert (positions(x[:, 2:], first=2) - placed[:, 2:]).abs().max() < 1e-12


@pytest.mark.row(90)
def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="odd"):
        sinusoids(torch.arange(3), 5)
    with pytest.raises(ValueError, match="11 tokens"):
        LearnedPositions(10, 4)(torch.zeros(1, 2, 4), first=9)
