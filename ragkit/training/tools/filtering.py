"""Which calls of a tool are worth learning: those whose result makes the answer likelier.

With L(c) = -log p(answer | question, c), a call with its result is kept where

    min(L(nothing), L(call without its result)) - L(call with its result) >= threshold

Schick et al. 2023, Toolformer, section 2, "Filtering API Calls": the result itself has to help, not that a
call stands there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ragkit.corpus.document import Passage
from ragkit.generation.generator import Generator, Tokens, token_log_likelihoods
from ragkit.generation.tools.tool import ToolCall

PROMPTS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Proposal:
    """A call that might help with a question; its `result` is there already."""

    question: str
    answer: str
    call: ToolCall


def keep_helpful(
    generator: Generator, tokenizer: Any, proposals: Sequence[Proposal], threshold: float
) -> list[tuple[Proposal, float]]:
    """Each question's most helpful call and by how many nats it helps, where they reach `threshold`.

    Args:
        tokenizer: the generator's.
    """
    answers = [proposal.answer for proposal in proposals]
    plain = [proposal.question for proposal in proposals]
    asked = [f"{p.question} {replace(p.call, result=None)}" for p in proposals]
    told = [f"{p.question} {p.call}" for p in proposals]
    nothing, call, result = (answer_losses(generator, tokenizer, q, answers) for q in (plain, asked, told))
    gains = np.minimum(nothing, call) - result
    best: dict[tuple[str, str], tuple[Proposal, float]] = {}
    for proposal, gain in zip(proposals, gains.tolist(), strict=True):
        question = proposal.question, proposal.answer
        if gain >= threshold and gain > best.get(question, (proposal, -np.inf))[1]:
            best[question] = proposal, gain
    return list(best.values())


def answer_losses(
    generator: Generator, tokenizer: Any, questions: Sequence[str], answers: Sequence[str]
) -> npt.NDArray[np.float64]:
    """-log p(answer | question) without a passage, its end included, (n,)."""
    end = tokenizer.eos_token_id
    stop = end if end in generator.ending.stops else generator.ending.stops[0]
    tokens: list[Tokens] = [
        (*tokenizer(answer, add_special_tokens=False)["input_ids"], stop) for answer in answers
    ]
    nothing = Passage("", "", "", 0, 0)
    losses = []
    for at in range(0, len(questions), PROMPTS_AT_ONCE):
        some, of_some = questions[at : at + PROMPTS_AT_ONCE], tokens[at : at + PROMPTS_AT_ONCE]
        reading, _ = generator.read(some, [nothing] * len(some), max(map(len, of_some)))
        losses.append(-token_log_likelihoods(reading, range(len(some)), of_some).sum(-1).numpy())
    return np.concatenate(losses) if losses else np.empty(0)
