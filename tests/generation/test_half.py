"""Generators that multiply in bfloat16."""

import pytest
import torch
from torch import nn

import ragkit.generation.half as half_module
from ragkit.errors import RagkitError
from ragkit.generation.causal import CausalGenerator
from ragkit.generation.half import in_precision
from ragkit.generation.seq2seq import Seq2SeqGenerator


def single(generator, **options):
    """The same generator with float32 weights."""
    build = CausalGenerator if isinstance(generator, CausalGenerator) else Seq2SeqGenerator
    return build(generator.model.float(), generator.tokenizer, "{passage} {question} Answer :", **options)


def likelihoods(generator, hits):
    passages = [hit.passage for hit in hits(["apple pear", "blue one"])]
    reading, _ = generator.read(["red", "one two"], passages, 8)
    after = reading.select(torch.tensor([0, 0, 1, 1])).extend(torch.tensor([[5, 6], [7, 8], [5, 6], [9, 2]]))
    return torch.cat([reading.logits, after.flatten(0, 1)]).log_softmax(-1)


@pytest.mark.parametrize("kind", ["t5", "bart", "encoder-decoder", "pointer"])
def test_likelihoods_in_bf16_are_near_those_in_fp32(tiny, hits, kind):
    plain = single(tiny(kind), precision="fp32")
    half = single(tiny(kind), precision="bf16")
    exact, near = likelihoods(plain, hits), likelihoods(half, hits)
    assert not plain.bf16 and half.bf16
    assert near.dtype == torch.float32
    assert 0 < (exact - near).abs().max() < 0.2


def test_bf16_shares_the_weights_and_follows_them(tiny, hits):
    half = single(tiny("bart"), precision="bf16")
    twin, is_half = in_precision(half.model, "bf16")
    assert is_half
    assert all(a is b for a, b in zip(twin.parameters(), half.model.parameters(), strict=True))
    assert all(type(module) is not half_module._HalfLinear for module in half.model.modules())
    assert type(twin.get_output_embeddings()) is nn.Linear
    before = likelihoods(half, hits)
    with torch.no_grad():
        for parameter in half.model.parameters():
            parameter.mul_(0.5)
    after = likelihoods(half, hits)
    assert not torch.allclose(before, after)
    assert torch.equal(after, likelihoods(single(half, precision="bf16"), hits))


@pytest.mark.parametrize(("native", "expected"), [(True, True), (False, False)])
def test_auto_is_bf16_where_it_is_native(tiny, monkeypatch, native, expected):
    monkeypatch.setattr(half_module, "computes_bf16", lambda device: native)
    assert single(tiny("t5")).bf16 is expected
    assert not tiny("t5").bf16  # float64 stays


def test_precisions_that_no_generator_has_are_refused(tiny):
    with pytest.raises(RagkitError, match="fp32 or bf16"):
        CausalGenerator(tiny("gpt2").model.float(), tiny("gpt2").tokenizer, precision="int8")
    with pytest.raises(RagkitError, match="no precision 'fp8'"):
        single(tiny("t5"), precision="fp8")
    with pytest.raises(RagkitError, match="gpt2 is computed in fp32 only"):
        single(tiny("gpt2"), precision="bf16")
