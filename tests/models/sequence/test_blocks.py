"""Rows 92 and 93: caches of the decoder block and of the Transformer."""

import pytest
import torch

from ragkit.chapters.sequence.parity import stirred
from ragkit.models.sequence.decoder_block import DecoderBlock
from ragkit.models.sequence.masks import causal_mask, padding_mask
from ragkit.models.sequence.transformer import Transformer, shifted_right

REAL = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])


@pytest.mark.row(92)
@pytest.mark.parametrize("variant", ["standard", "notes"])
def test_the_cache_is_exact(variant: str) -> None:
    torch.manual_seed(0)
    block = stirred(DecoderBlock(12, 3, 20, 0.0, variant=variant))  # type: ignore[arg-type]
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    memory = torch.randn(2, 6, 12, dtype=torch.float64)
    whole = block(x, memory, causal_mask(5), padding_mask(REAL))
    cache = block.start(memory)
    for at in range(5):
        one, cache = block.extend(x[:, at : at + 1], cache, None, padding_mask(REAL))
        assert (one[:, 0] - whole[:, at]).abs().max() < 1e-10


@pytest.mark.row(92)
def test_the_notes_order_is_another_one() -> None:
    block = DecoderBlock(12, 3, 20, 0.0, variant="notes")
    x, memory = torch.randn(2, 5, 12), torch.randn(2, 6, 12)
    notes = block(x, memory, causal_mask(5))
    block.variant = "standard"
    assert (block(x, memory, causal_mask(5)) - notes).abs().max() > 1e-3


@pytest.mark.row(93)
def test_steps_equal_one_pass_and_padding_changes_nothing() -> None:
    torch.manual_seed(0)
    model = Transformer(9, 12, 2, 3, 20).double().eval()
    source, target = torch.randint(1, 9, (2, 6)) * REAL, torch.randint(1, 9, (2, 5))
    whole = model(source, target)
    state = model.start(source)
    for at in range(5):
        logits, state = model.step(target[:, at], state)
        assert (logits - whole[:, at]).abs().max() < 1e-10
    assert (model(source[1:, :4], target[1:]) - whole[1:]).abs().max() < 1e-10
    assert shifted_right(torch.tensor([[5, 6, 7]]), 1).tolist() == [[1, 5, 6]]
