"""Rows 91 to 93: encoder and decoder blocks and the whole Transformer against torch.nn."""

import pytest
import torch
from torch import nn

from ragkit.models.sequence.decoder_block import DecoderBlock
from ragkit.models.sequence.encoder_block import EncoderBlock, Norm
from ragkit.models.sequence.masks import causal_mask, padding_mask
from ragkit.models.sequence.multi_head import MultiHeadAttention
from ragkit.models.sequence.transformer import Transformer, shifted_right

REAL = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])


def copy_attention(theirs: nn.MultiheadAttention, ours: MultiHeadAttention) -> None:
    for at, part in enumerate((ours.query, ours.key, ours.value)):
        part.weight.copy_(theirs.in_proj_weight.chunk(3)[at])
        part.bias.copy_(theirs.in_proj_bias.chunk(3)[at])
    ours.out.load_state_dict(theirs.out_proj.state_dict())


@torch.no_grad()
def copy_encoder(theirs: nn.Module, ours: nn.Module) -> None:
    copy_attention(theirs.self_attn, ours.attention)  # type: ignore[arg-type]
    ours.attention_norm.load_state_dict(theirs.norm1.state_dict())  # type: ignore[operator, union-attr]
    ours.feed_forward.rise.load_state_dict(theirs.linear1.state_dict())  # type: ignore[operator, union-attr]
    ours.feed_forward.fall.load_state_dict(theirs.linear2.state_dict())  # type: ignore[operator, union-attr]
    ours.feed_forward_norm.load_state_dict(theirs.norm2.state_dict())  # type: ignore[operator, union-attr]


@torch.no_grad()
def copy_decoder(theirs: nn.Module, ours: nn.Module) -> None:
    copy_attention(theirs.self_attn, ours.self_attention)  # type: ignore[arg-type]
    copy_attention(theirs.multihead_attn, ours.cross_attention)  # type: ignore[arg-type]
    for name, part in (("norm1", "self_norm"), ("norm2", "cross_norm"), ("norm3", "feed_forward_norm")):
        getattr(ours, part).load_state_dict(getattr(theirs, name).state_dict())
    ours.feed_forward.rise.load_state_dict(theirs.linear1.state_dict())  # type: ignore[operator, union-attr]
    ours.feed_forward.fall.load_state_dict(theirs.linear2.state_dict())  # type: ignore[operator, union-attr]


def stirred(module: nn.Module) -> nn.Module:
    """The module in float64 with every parameter moved: norms and biases must be copied too."""
    with torch.no_grad():
        for parameter in module.double().parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return module


@pytest.mark.row(91)
@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_encoder_block_equals_torch(norm: Norm, activation: str) -> None:
    torch.manual_seed(0)
    theirs = stirred(
        nn.TransformerEncoderLayer(12, 3, 20, 0.0, activation, batch_first=True, norm_first=norm == "pre")
    )
    ours = EncoderBlock(12, 3, 20, 0.0, norm, activation).double()  # type: ignore[arg-type]
    copy_encoder(theirs, ours)
    x = torch.randn(2, 6, 12, dtype=torch.float64, requires_grad=True)
    expected = theirs(x, src_key_padding_mask=REAL == 0)
    result = ours(x, padding_mask(REAL))
    assert (result - expected)[REAL.bool()].abs().max() < 1e-10
    first = torch.autograd.grad(expected[REAL.bool()].square().sum(), x)[0]
    second = torch.autograd.grad(result[REAL.bool()].square().sum(), x)[0]
    assert (first - second).abs().max() < 1e-9


@pytest.mark.row(92)
@pytest.mark.parametrize("norm", ["post", "pre"])
def test_decoder_block_equals_torch(norm: Norm) -> None:
    torch.manual_seed(0)
    theirs = stirred(nn.TransformerDecoderLayer(12, 3, 20, 0.0, batch_first=True, norm_first=norm == "pre"))
    ours = DecoderBlock(12, 3, 20, 0.0, norm).double()
    copy_decoder(theirs, ours)
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    memory = torch.randn(2, 6, 12, dtype=torch.float64)
    expected = theirs(x, memory, tgt_mask=~causal_mask(5), memory_key_padding_mask=REAL == 0)
    result = ours(x, memory, causal_mask(5), padding_mask(REAL))
    assert (result - expected).abs().max() < 1e-10


@pytest.mark.row(92)
@pytest.mark.parametrize("variant", ["standard", "notes"])
def test_the_future_never_moves_the_past_and_the_cache_is_exact(variant: str) -> None:
    torch.manual_seed(0)
    block = stirred(DecoderBlock(12, 3, 20, 0.0, variant=variant))  # type: ignore[arg-type]
    assert isinstance(block, DecoderBlock)
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    memory = torch.randn(2, 6, 12, dtype=torch.float64)
    whole = block(x, memory, causal_mask(5), padding_mask(REAL))
    changed = x.clone()
    changed[:, 3:] += 1
    again = block(changed, memory, causal_mask(5), padding_mask(REAL))
    assert torch.equal(again[:, :3], whole[:, :3]) and (again[:, 3] - whole[:, 3]).abs().max() > 1e-3
    cache = block.start(memory)
    for at in range(5):
        one, cache = block.extend(x[:, at : at + 1], cache, None, padding_mask(REAL))
        assert (one[:, 0] - whole[:, at]).abs().max() < 1e-10


@pytest.mark.row(92)
def test_the_notes_order_is_cross_feed_forward_masked() -> None:
    torch.manual_seed(0)
    block = stirred(DecoderBlock(8, 2, 16, 0.0, variant="notes"))
    assert isinstance(block, DecoderBlock)
    x, memory = torch.randn(1, 4, 8).double(), torch.randn(1, 3, 8).double()
    y = block.cross_norm(x + block.cross_attention(x, memory))
    y = block.feed_forward_norm(y + block.feed_forward(y))
    y = block.self_norm(y + block.self_attention(y, y, causal_mask(4)))
    assert (block(x, memory, causal_mask(4)) - y).abs().max() < 1e-12
    block.variant = "standard"
    assert (block(x, memory, causal_mask(4)) - y).abs().max() > 1e-3


@pytest.mark.row(93)
@pytest.mark.parametrize("norm", ["post", "pre"])
def test_transformer_equals_torch(norm: Norm) -> None:
    torch.manual_seed(0)
    theirs = nn.Transformer(12, 3, 2, 2, 20, 0.0, batch_first=True, norm_first=norm == "pre")
    stirred(theirs)
    ours = Transformer(9, 12, 2, 3, 20, 0.0, norm).double()
    for layer, block in zip(theirs.encoder.layers, ours.encoder, strict=True):
        copy_encoder(layer, block)
    for layer, block in zip(theirs.decoder.layers, ours.decoder, strict=True):
        copy_decoder(layer, block)
    if norm == "pre":
        ours.encoder_norm.load_state_dict(theirs.encoder.norm.state_dict())  # type: ignore[union-attr]
        ours.decoder_norm.load_state_dict(theirs.decoder.norm.state_dict())  # type: ignore[union-attr]
    else:  # torch adds a last norm always; the post-norm model of the paper has none
        theirs.encoder.norm = theirs.decoder.norm = None
    source, target = torch.randint(1, 9, (2, 6)) * REAL, torch.randint(1, 9, (2, 5))
    expected = theirs(
        ours.embed(source),
        ours.embed(target),
        tgt_mask=~causal_mask(5),
        src_key_padding_mask=REAL == 0,
        memory_key_padding_mask=REAL == 0,
    )
    assert (ours(source, target) - ours.logits(expected)).abs().max() < 1e-10


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
