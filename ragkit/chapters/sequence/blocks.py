"""Rows 91 and 92, and what rows 93 and 94 have to equal: blocks and whole models from copied weights."""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from ragkit.chapters.sequence.parity import copy_block, double, off, stirred
from ragkit.models.sequence.causal_lm import from_gpt2
from ragkit.models.sequence.decoder_block import DecoderBlock
from ragkit.models.sequence.encoder_block import EncoderBlock, Norm
from ragkit.models.sequence.feed_forward import Activation
from ragkit.models.sequence.masks import causal_mask, padding_mask
from ragkit.models.sequence.transformer import Transformer

NORMS: tuple[Norm, ...] = ("post", "pre")
REAL = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])


def encoder_block() -> dict[str, float]:
    """Row 91: at all tokens that are not padding, output and gradient, with ReLU and with GELU."""
    activations: tuple[Activation, ...] = ("relu", "gelu")
    return {
        f"{norm}-norm error": max(encoder_error(norm, activation) for activation in activations)
        for norm in NORMS
    }


def encoder_error(norm: Norm, activation: Activation) -> float:
    torch.manual_seed(0)
    before = norm == "pre"
    theirs = stirred(
        nn.TransformerEncoderLayer(12, 3, 20, 0.0, activation, batch_first=True, norm_first=before)
    )
    ours = EncoderBlock(12, 3, 20, 0.0, norm, activation).double()
    copy_block(theirs, ours)
    x, real = double(2, 6, 12), REAL.bool()
    expected, result = theirs(x, src_key_padding_mask=~real)[real], ours(x, padding_mask(REAL))[real]
    slopes = [torch.autograd.grad(output.square().mean(), x)[0] for output in (result, expected)]
    return max(off(result, expected), off(*slopes))


@torch.no_grad()
def decoder_block() -> dict[str, float]:
    """Row 92: both norms; tokens to come; and the notes' order by hand."""
    torch.manual_seed(0)
    x, memory, errors = double(2, 5, 12), double(2, 6, 12), []
    for norm in NORMS:
        before = norm == "pre"
        theirs = stirred(nn.TransformerDecoderLayer(12, 3, 20, 0.0, batch_first=True, norm_first=before))
        ours = DecoderBlock(12, 3, 20, 0.0, norm).double()
        copy_block(theirs, ours)
        expected = theirs(x, memory, tgt_mask=~causal_mask(5), memory_key_padding_mask=REAL == 0)
        errors.append(off(ours(x, memory, causal_mask(5), padding_mask(REAL)), expected))
    notes = stirred(DecoderBlock(12, 3, 20, 0.0, variant="notes"))
    y = notes.cross_norm(x + notes.cross_attention(x, memory))
    y = notes.feed_forward_norm(y + notes.feed_forward(y))
    y = notes.self_norm(y + notes.self_attention(y, y, causal_mask(5)))
    other = torch.cat([x[:, :3], double(2, 2, 12)], dim=1)
    moved = [off(*(b(t, memory, causal_mask(5))[:, :3] for t in (x, other))) for b in (ours, notes)]
    return {
        "error": max(errors),
        "past moved by the future": max(moved),
        "notes' order off by": off(notes(x, memory, causal_mask(5)), y),
    }


def transformer_error() -> float:
    """Logits off `nn.Transformer`'s, both from the same embeddings; the larger one of both norms."""
    return max(map(_transformer_error, NORMS))


@torch.no_grad()
def _transformer_error(norm: Norm) -> float:
    torch.manual_seed(0)
    with warnings.catch_warnings():  # it says that it will not use nested tensors
        warnings.simplefilter("ignore")
        theirs = nn.Transformer(12, 3, 2, 2, 20, 0.0, batch_first=True, norm_first=norm == "pre")
    parts: Any = stirred(theirs)
    ours = Transformer(9, 12, 2, 3, 20, 0.0, norm).double()
    for half in ("encoder", "decoder"):
        layers, blocks = parts.get_submodule(half).layers, ours.get_submodule(half)
        assert isinstance(blocks, nn.ModuleList)
        for layer, block in zip(layers, blocks, strict=True):
            copy_block(layer, block)
        if norm == "pre":
            ours.get_submodule(f"{half}_norm").load_state_dict(parts.get_submodule(half).norm.state_dict())
        else:  # torch always adds a last norm; the post-norm model of the paper has none
            parts.get_submodule(half).norm = None
    source, target = torch.randint(1, 9, (2, 6)) * REAL, torch.randint(1, 9, (2, 5))
    padded = REAL == 0
    expected = theirs(
        ours.embed(source), ours.embed(target), tgt_mask=~causal_mask(5),
        src_key_padding_mask=padded, memory_key_padding_mask=padded,
    )  # fmt: skip
    return off(ours(source, target), ours.logits(expected))


def gpt2(vocabulary: int = 17, end: int = 1) -> tuple[Any, Any]:
    """A small `GPT2LMHeadModel` with moved weights, and ours with the same; both in evaluation mode."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=vocabulary, n_positions=24, n_embd=16, n_layer=2, n_head=4, bos_token_id=0,
        eos_token_id=end,
    )  # fmt: skip
    theirs = stirred(GPT2LMHeadModel(config)).eval()
    return theirs, from_gpt2(theirs.state_dict(), heads=4).eval()


def gpt2_error() -> float:
    """Logits, loss and gradient off GPT-2's; transformers sums the loss in float32, so that it is redone."""
    theirs, ours = gpt2()
    tokens = torch.randint(17, (3, 12))
    logits: Tensor = theirs(tokens).logits
    exact = nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
    loss = ours.loss(tokens)
    slopes = (
        torch.autograd.grad(loss, ours.tokens.weight)[0],
        torch.autograd.grad(exact, theirs.transformer.wte.weight)[0],
    )
    return max(off(ours(tokens), logits), off(loss, exact), off(*slopes))
