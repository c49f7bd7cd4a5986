"""The generator decides whether to call a tool, the tool answers, the result is put before the generator."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ragkit.corpus.document import Passage
from ragkit.errors import RagkitError
from ragkit.generation.tools.tool import Tool, ToolCall, may_become_call, parse_call
from ragkit.retrieval.hit import Hit

if TYPE_CHECKING:
    from ragkit.generation.generator import Generator

CALL_TOKENS = 64
"""Most tokens of a call."""
CALLS = 3
"""Most calls for one question."""


def use_tools(
    generator: "Generator", tools: Mapping[str, Tool], question: str, hits: Sequence[Hit]
) -> tuple[str, list[Hit], list[ToolCall]]:
    """Lets the generator call tools until it begins an answer.

    It decides with the best passage before it. Returns the question with the calls and their results behind
    it, the hits with those that tools found, best first, and the calls. One that a tool could not serve
    leaves no trace in the question and ends the calling.
    """
    found, calls = list(hits), list[ToolCall]()
    nothing = Passage("", "", "", 0, 0)
    while len(calls) < CALLS:
        written = decide(generator, question, found[0].passage if found else nothing, tools)
        if written is None:
            break
        tool, argument = written
        try:
            result = tools[tool](argument)
        except RagkitError as error:
            calls.append(ToolCall(tool, argument, refusal=str(error)))
            break
        call = ToolCall(tool, argument, result.text)
        if call in calls:  # it goes round in a circle
            break
        calls.append(call)
        question = f"{question} {call}"
        found = _merged(found, result.hits)
    return question, found, calls


def decide(
    generator: "Generator", question: str, passage: Passage, tools: Mapping[str, Tool]
) -> tuple[str, str] | None:
    """(tool, argument) where the likeliest beginning of the answer, token by token, is a call; else None."""
    import torch

    reading, _ = generator.read([question], [passage], CALL_TOKENS)
    logits, tokens = reading.logits, list[int]()
    while len(tokens) < CALL_TOKENS:
        token = int(logits[0].argmax())
        if token in generator.ending.stops:
            return None
        tokens.append(token)
        text = generator.text(tuple(tokens), passage)
        if not may_become_call(text, tools):
            return None
        if call := parse_call(text, tools):
            return call
        logits = reading.extend(torch.tensor([[token]], device=logits.device))[:, -1]
    return None


def _merged(hits: Sequence[Hit], more: Sequence[Hit]) -> list[Hit]:
    """Best first, numbered anew; a passage that both hold is kept once."""
    best: dict[tuple[str, str], Hit] = {}
    for hit in sorted([*hits, *more], key=lambda hit: -hit.score):
        best.setdefault((hit.passage.id, hit.passage.text), hit)
    return [replace(hit, rank=rank) for rank, hit in enumerate(best.values(), 1)]
