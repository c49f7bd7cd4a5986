"""Row 94 (and 79): the causal model against GPT-2 from copied weights, cached and decoded."""

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from ragkit.models.sequence.causal_lm import CausalLM, from_gpt2
from ragkit.models.sequence.decoding import Ends, beam, greedy

VOCABULARY, END = 17, 1


@pytest.fixture(scope="module")
def pair() -> tuple[GPT2LMHeadModel, CausalLM]:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=24,
        n_embd=16,
        n_layer=2,
        n_head=4,
        bos_token_id=0,
        eos_token_id=END,
    )
    theirs = GPT2LMHeadModel(config).double().eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.15)
    return theirs, from_gpt2(theirs.state_dict(), heads=4).eval()


@pytest.mark.row(94)
def test_logits_loss_and_gradient_equal_gpt2(pair: tuple[GPT2LMHeadModel, CausalLM]) -> None:
    theirs, ours = pair
    tokens = torch.randint(VOCABULARY, (3, 12))
    expected = theirs(tokens, labels=tokens)
    assert (ours(tokens) - expected.logits).abs().max() < 1e-10
    loss = ours.loss(tokens)
    assert abs(loss.item() - expected.loss.item()) < 1e-6  # theirs is computed in float32
    scores = expected.logits[:, :-1].flatten(0, 1)
    exact = torch.nn.functional.cross_entropy(scores, tokens[:, 1:].flatten())
    assert abs(loss.item() - exact.item()) < 1e-10
    first = torch.autograd.grad(exact, theirs.transformer.wte.weight)[0]
    assert (torch.autograd.grad(loss, ours.tokens.weight)[0] - first).abs().max() < 1e-10


@pytest.mark.row(79)
@pytest.mark.row(94)
def test_cache_equals_one_pass_in_any_portions(pair: tuple[GPT2LMHeadModel, CausalLM]) -> None:
    model = pair[1]
    tokens = torch.randint(VOCABULARY, (2, 10))
    whole, state, at = model(tokens), model.start(), 0
    for portion in (1, 4, 2, 3):
        logits, state = model.read(tokens[:, at : at + portion], state)
        assert (logits - whole[:, at : at + portion]).abs().max() < 1e-10
        at += portion


@pytest.mark.row(79)
def test_greedy_and_beam_equal_transformers(pair: tuple[GPT2LMHeadModel, CausalLM]) -> None:
    theirs, ours = pair
    begin = torch.zeros(1, 1, dtype=torch.long)
    options = {"max_new_tokens": 8, "pad_token_id": END, "do_sample": False}
    expected = theirs.generate(begin, **options)[0, 1:].tolist()
    ends = Ends(0, END, 8)
    with torch.no_grad():
        assert greedy(ours.step, ours.start(), 1, ends)[0] == expected
        for penalty in (0.0, 1.0):
            answer = theirs.generate(
                begin,
                num_beams=3,
                num_return_sequences=3,
                length_penalty=penalty,
                early_stopping="never",
                **options,
            )
            found = beam(ours.step, ours.start(), 1, ends, 3, penalty)[0]
            assert [list(h.tokens) for h in found] == [_cut(row) for row in answer[:, 1:].tolist()]


def _cut(tokens: list[int]) -> list[int]:
    return tokens[: tokens.index(END) + 1] if END in tokens else tokens
