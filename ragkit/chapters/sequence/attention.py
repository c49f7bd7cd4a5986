"""Rows 88-90: attention and positions against torch, a formula and each other."""

import math

import torch
from torch import nn
from torch.nn import functional

from ragkit.chapters.sequence.parity import copy_attention, double, gradients_off, off
from ragkit.models.sequence.masks import causal_mask, padding_mask
from ragkit.models.sequence.multi_head import MultiHeadAttention
from ragkit.models.sequence.positional import LearnedPositions, SinusoidalPositions, sinusoids
from ragkit.models.sequence.self_attention import attention

REAL = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


def scaled_dot_product() -> dict[str, float]:
    """Row 88: no mask, a causal one, padding; and a query that may look nowhere."""
    torch.manual_seed(0)
    query, key, value = double(2, 3, 5, 8), double(2, 3, 5, 8), double(2, 3, 5, 6)
    errors, gradients = [], []
    for mask in (None, causal_mask(5), padding_mask(REAL)):
        ours = attention(query, key, value, mask)
        theirs = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        errors.append(off(ours, theirs))
        gradients.append(gradients_off(ours, theirs, [query, key, value], [query, key, value]))
    nowhere = torch.ones(5, 5, dtype=torch.bool)
    nowhere[2] = False
    seen = attention(query, key, value, nowhere)
    (slope,) = torch.autograd.grad(seen.sum(), query)
    # NaN is not 0, so that it counts.
    wrong = sum(int((x[..., 2, :] != 0).sum()) for x in (seen, slope))
    return {
        "error": max(errors),
        "gradient off": max(gradients),
        "numbers not 0 where all is masked": wrong,
    }


def multi_head() -> dict[str, float]:
    """Row 89: with and without padding."""
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(12, 3, batch_first=True).double()
    ours = MultiHeadAttention(12, 3).double()
    copy_attention(theirs, ours)
    query, memory = double(2, 4, 12), double(2, 5, 12)
    errors, gradients = [], []
    for mask, padded in ((None, None), (padding_mask(REAL), REAL == 0)):
        expected = theirs(query, memory, memory, key_padding_mask=padded)[0]
        result = ours(query, memory, mask)
        errors.append(off(result, expected))
        own, other = [query, memory, ours.out.weight], [query, memory, theirs.out_proj.weight]
        gradients.append(gradients_off(result, expected, own, other))
    return {"error": max(errors), "gradient off": max(gradients)}


@torch.no_grad()
def positions() -> dict[str, float]:
    """Row 90: sines by hand, a shift as one rotation for all places, and what order is without them."""
    torch.manual_seed(0)
    table = sinusoids(torch.arange(200), 16)
    frequencies = [10000 ** (-2 * i / 16) for i in range(8)]
    by_hand = [[f(p * w) for w in frequencies for f in (math.sin, math.cos)] for p in range(200)]
    shifted = []
    for k in (1, 5, 30):
        turned = torch.tensor([(math.cos(k * w), math.sin(k * w)) for w in frequencies], dtype=torch.float64)
        turns = [torch.stack([torch.stack([c, -s]), torch.stack([s, c])]) for c, s in turned]
        shifted.append(off(table[:-k] @ torch.block_diag(*turns), table[k:]))
    layer, x, order = MultiHeadAttention(8, 2).double(), double(1, 6, 8), torch.tensor([3, 0, 5, 1, 4, 2])

    def told_apart(place: nn.Module) -> float:
        here, moved = place(x), place(x[:, order])
        return off(layer(moved, moved), layer(here, here)[:, order])

    return {
        "formula off by": off(table, torch.tensor(by_hand, dtype=torch.float64)),
        "PE(p+k) off a rotation of PE(p)": max(shifted),
        "order told without": told_apart(nn.Identity()),
        "order told with": min(map(told_apart, (SinusoidalPositions(), LearnedPositions(10, 8).double()))),
    }
