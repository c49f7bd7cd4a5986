"""Autoregressive decoding: p(y|x) = Π_t p(y_t | y_<t, x), searched greedily, by beams, or sampled. Row 79.

The notes feed "the original input plus the generated output" at each step. Nothing of it needs to be computed
twice: a model is a function of the last token and of a state (an RNN's h, a Transformer's keys and values).
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

Step = Callable[[Tensor, Any], tuple[Tensor, Any]]
"""(last tokens (rows,), state) -> (logits (rows, vocabulary), state). State: tensors whose first axis is the
rows, in tuples, lists, dicts or dataclasses."""


@dataclass(frozen=True, slots=True)
class Ends:
    """The tokens that begin and end an output, and the most tokens it may have, the end included."""

    begin: int
    end: int
    longest: int


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """Tokens after the begin, the end included if it was reached, and log p of them."""

    tokens: tuple[int, ...]
    log_probability: float


def greedy(step: Step, state: Any, rows: int, ends: Ends) -> list[list[int]]:
    """For each row the likeliest token again and again, up to the end (included)."""
    return _one_path(step, state, rows, ends, lambda logits: logits.argmax(dim=-1))


def sample(
    step: Step,
    state: Any,
    rows: int,
    ends: Ends,
    temperature: float = 1.0,
    top: int | None = None,
    generator: torch.Generator | None = None,
) -> list[list[int]]:
    """For each row a draw from softmax(logits / temperature), among the `top` tokens if given."""
    if temperature <= 0:
        raise ValueError(f"temperature {temperature}: it must be positive; `greedy` is its limit at 0")

    def draw(logits: Tensor) -> Tensor:
        if top is not None:
            least = logits.topk(min(top, logits.shape[-1]), dim=-1).values[:, -1:]
            logits = logits.masked_fill(logits < least, float("-inf"))
        chances = (logits / temperature).softmax(dim=-1)
        return torch.multinomial(chances, 1, generator=generator)[:, 0]

    return _one_path(step, state, rows, ends, draw)


def beam(
    step: Step, state: Any, rows: int, ends: Ends, beams: int, length_penalty: float = 0.0
) -> list[list[Hypothesis]]:
    """For each row up to `beams` hypotheses, best first by log p / length^length_penalty.

    A finished hypothesis leaves its beam; the search of a row goes on while one of its open ones may still
    beat the worst finished one of a full set. With a penalty of 0 that is exact; with more it assumes the
    longest length, as transformers does with `early_stopping="never"`.
    """
    device = _device(state)
    state = select_rows(state, torch.arange(rows, device=device).repeat_interleave(beams))
    tokens = torch.full((rows * beams,), ends.begin, device=device)
    totals = torch.full((rows, beams), float("-inf"), dtype=torch.float64, device=device)
    totals[:, 0] = 0.0  # all beams start the same: only the first may be extended
    paths: list[list[int]] = [[] for _ in range(rows * beams)]
    done: list[list[Hypothesis]] = [[] for _ in range(rows)]

    def score(hypothesis: Hypothesis) -> float:
        return hypothesis.log_probability / len(hypothesis.tokens) ** length_penalty

    for length in range(1, ends.longest + 1):
        logits, state = step(tokens, state)
        extended = totals[:, :, None] + logits.double().log_softmax(-1).unflatten(0, (rows, beams))
        vocabulary = extended.shape[-1]
        # Each beam has one way to end, so 2 beams of the best hold at least as many open as wanted.
        best, places = extended.flatten(1).topk(min(2 * beams, beams * vocabulary), dim=1)
        origins = []
        for row, (values, at) in enumerate(zip(best.tolist(), places.tolist(), strict=True)):
            chosen: list[tuple[int, int, float]] = []
            for rank, (value, place) in enumerate(zip(values, at, strict=True)):
                source, token = row * beams + place // vocabulary, place % vocabulary
                if value == float("-inf"):
                    continue
                if token == ends.end or length == ends.longest:
                    # As in transformers, an end counts among the best `beams` only: one beam is greedy.
                    if rank < beams:
                        done[row].append(Hypothesis((*paths[source], token), value))
                elif len(chosen) < beams:
                    chosen.append((source, token, value))
            done[row] = sorted(done[row], key=score, reverse=True)[:beams]
            if len(done[row]) == beams:
                reach = ends.longest if length_penalty > 0 else length
                worst = score(done[row][-1])
                chosen = [c for c in chosen if c[2] / reach**length_penalty > worst]
            origins.append(chosen + [(row * beams, ends.end, float("-inf"))] * (beams - len(chosen)))
        flat = [origin for row in origins for origin in row]
        if all(value == float("-inf") for _, _, value in flat):
            break
        paths = [[*paths[source], token] for source, token, _ in flat]
        tokens = torch.tensor([token for _, token, _ in flat], device=device)
        totals = torch.tensor([v for _, _, v in flat], dtype=torch.float64, device=device).view(rows, beams)
        state = select_rows(state, torch.tensor([source for source, _, _ in flat], device=device))
    return done


def select_rows(state: Any, rows: Tensor) -> Any:
    """The state with only the given rows, in their order, a row as often as it is named."""
    if isinstance(state, Tensor):
        return state[rows]
    if isinstance(state, dict):
        return {key: select_rows(value, rows) for key, value in state.items()}
    if isinstance(state, tuple | list):
        return type(state)(select_rows(value, rows) for value in state)
    if is_dataclass(state) and not isinstance(state, type):
        return replace(state, **{f.name: select_rows(getattr(state, f.name), rows) for f in fields(state)})
    return state


def _one_path(
    step: Step, state: Any, rows: int, ends: Ends, choose: Callable[[Tensor], Tensor]
) -> list[list[int]]:
    tokens = torch.full((rows,), ends.begin, device=_device(state))
    paths: list[list[int]] = [[] for _ in range(rows)]
    for _ in range(ends.longest):
        logits, state = step(tokens, state)
        tokens = choose(logits)
        for path, token in zip(paths, tokens.tolist(), strict=True):
            if not path or path[-1] != ends.end:
                path.append(token)
        if all(path[-1] == ends.end for path in paths):
            break
    return paths


def _device(state: Any) -> torch.device:
    """Where the first tensor of a state lies; the CPU if it has none."""
    if isinstance(state, Tensor):
        return state.device
    if isinstance(state, dict):
        state = list(state.values())
    if is_dataclass(state) and not isinstance(state, type):
        state = [getattr(state, f.name) for f in fields(state)]
    for part in state if isinstance(state, tuple | list) else ():
        if part is not None:
            return _device(part)
    return torch.device("cpu")
