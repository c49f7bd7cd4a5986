"""Rows 79 and 81: search against enumeration and transformers; teacher forcing's draws."""

import itertools

import torch
from torch import Tensor

from ragkit.chapters.sequence.blocks import gpt2
from ragkit.chapters.sequence.parity import gradients_off, off
from ragkit.models.sequence.decoding import Ends, beam, greedy, select_rows
from ragkit.models.sequence.lstm import CellState
from ragkit.models.sequence.recurrent_decoder import RecurrentDecoder
from ragkit.models.sequence.teacher_forcing import forced_logits
from ragkit.models.sequence.transformer import Transformer, shifted_right

ENDS = Ends(begin=0, end=2, longest=4)


def toy(seed: int, rows: int = 1) -> tuple[RecurrentDecoder, CellState]:
    """A decoder over three tokens, far from uniform, and states to start from."""
    torch.manual_seed(seed)
    decoder = RecurrentDecoder(3, 4, 5).double()
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.mul_(4)
    return decoder, (torch.randn(rows, 5).double(), torch.randn(rows, 5).double())


@torch.no_grad()
def all_outputs(decoder: RecurrentDecoder, state: CellState) -> dict[tuple[int, ...], float]:
    """log p of every output of the three tokens: ended ones, and those cut at the longest length."""
    outputs = {}
    for length in range(1, ENDS.longest + 1):
        for body in itertools.product((0, 1), repeat=length - 1):
            for last in (2,) if length < ENDS.longest else (0, 1, 2):
                tokens = (*body, last)
                scores = decoder(torch.tensor([[ENDS.begin, *tokens[:-1]]]), state)[0].log_softmax(-1)
                outputs[tokens] = sum(scores[at, token].item() for at, token in enumerate(tokens))
    return outputs


@torch.no_grad()
def search() -> dict[str, float]:
    """Row 79: 20 toys searched by beams as wide as there are outputs; GPT-2's and a Transformer's outputs."""
    not_greedy = not_exact = 0
    for seed in range(20):
        decoder, state = toy(seed, rows=3)
        paths = greedy(decoder.step, state, 3, ENDS)
        not_greedy += [list(h[0].tokens) for h in beam(decoder.step, state, 3, ENDS, 1)] != paths
        alone = select_rows(state, torch.tensor([0]))
        outputs = all_outputs(decoder, alone)
        best = sorted(outputs, key=outputs.__getitem__, reverse=True)
        found = beam(decoder.step, alone, 1, ENDS, len(outputs))[0]
        not_exact += [hypothesis.tokens for hypothesis in found] != best
    theirs, ours = gpt2(end=ENDS.end)
    begin, other = torch.tensor([[ENDS.begin]]), 0
    for beams in (1, 3):
        wanted = theirs.generate(
            begin, max_new_tokens=8, num_beams=beams, do_sample=False, pad_token_id=ENDS.end,
            length_penalty=0.0, **({"early_stopping": "never"} if beams > 1 else {}),
        )[0, 1:].tolist()  # fmt: skip
        mine = beam(ours.step, ours.start(), 1, Ends(ENDS.begin, ENDS.end, 8), beams)[0][0].tokens
        other += [*mine, *[ENDS.end] * (len(wanted) - len(mine))] != wanted
    return {
        "logits with a cache off those without": cache_error(),
        "beams of one other than greedy": not_greedy,
        "wide beams other than all outputs sorted": not_exact,
        "outputs other than transformers'": other,
    }


@torch.no_grad()
def cache_error() -> float:
    """A Transformer's logits token by token, against those of the whole prefix each time."""
    torch.manual_seed(0)
    model = Transformer(9, 12, 2, 3, 20).double().eval()
    source, tokens = torch.randint(1, 9, (3, 6)), torch.full((3, 1), 1)
    state, errors = model.start(source), []
    for _ in range(7):
        logits, state = model.step(tokens[:, -1], state)
        errors.append(off(logits, model(source, tokens)[:, -1]))
        tokens = torch.cat([tokens, logits.argmax(-1, keepdim=True)], dim=1)
    return max(errors)


def teacher_forcing() -> dict[str, float]:
    """Row 81."""
    return draws() | forced()


@torch.no_grad()
def draws() -> dict[str, float]:
    """20,000 rows of six tokens whose true token the model never says, so that draws can be told."""
    decoder, state = toy(0)
    decoder.tokens = torch.nn.Embedding(8, 4).double()
    rows = select_rows(state, torch.zeros(20_000, dtype=torch.long))
    truth = torch.full((20_000, 6), 7)
    rates, strange = [], 0
    for p in (0.0, 0.3, 1.0):
        logits, fed = forced_logits(decoder.step, rows, truth, 0, p, torch.Generator().manual_seed(1))
        later, said = fed[:, 1:], logits.argmax(-1)[:, :-1]
        rates.append(abs((later == 7).double().mean().item() - p))
        strange += int(((later != 7) & (later != said)).sum())
    return {
        "draw rate off by": max(rates),
        "inputs neither true nor the model's": strange,
    }


def forced() -> dict[str, float]:
    """With p = 1, step by step against the whole target at once."""
    torch.manual_seed(0)
    model = Transformer(9, 12, 2, 3, 20).double().eval()
    source, target = torch.randint(1, 9, (3, 6)), torch.randint(1, 9, (3, 5))
    stepwise: Tensor = forced_logits(model.step, model.start(source), target, begin=1)[0]
    parallel: Tensor = model(source, shifted_right(target, 1))
    table = [model.tokens.weight]
    return {
        "p = 1: logits off the parallel decoder's": off(stepwise, parallel),
        "p = 1: gradient off": gradients_off(stepwise, parallel, table, table),
    }
