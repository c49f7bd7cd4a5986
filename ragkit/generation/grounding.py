"""How far an answer is grounded in its passages: a low score warns of a hallucination.

A sentence s of the answer y to the question x is grounded in a passage z as far as its words stand there and
as far as z is read as answering the question,

    g(s, z) = share(s, z) * p(y|x,z) ** (1 / choices)
    g(s) = max_z g(s, z),    g(y) = mean g(s)

with `share` of `evidence`, and p(y|x,z), by the model that answered, as the geometric mean of its choices: a
generator chooses every word and the end, an extractive reader two places. Words alone would not do: what a
reader gives always stands in its passage, even when that is about something else. The mean over sentences
weighs each by its words.
"""

import math
from dataclasses import dataclass

from ragkit.generation.answer import Answer
from ragkit.generation.evidence import WORD, Citation, Evidence, sentences


@dataclass(frozen=True, slots=True)
class GroundedSentence:
    """A sentence of an answer, `answer.text[start:end]`; `citation` is the place that bears it out best."""

    start: int
    end: int
    score: float
    citation: Citation | None


@dataclass(frozen=True, slots=True)
class Grounding:
    """Scores are in [0, 1]: 1 where every word stands in a passage that is certain to give this answer."""

    score: float
    sentences: list[GroundedSentence]


def grounding(answer: Answer, evidence: Evidence | None = None) -> Grounding | None:
    """How far each sentence of the answer, and the whole, is borne out by `answer.support`.

    Args:
        evidence: weighs words by an index; left out, all weigh the same.

    Returns None for an empty answer, which claims nothing.
    """
    if not answer.text.strip():
        return None
    evidence = evidence or Evidence()
    written = _words(answer.text) + 1
    read = [
        math.exp(support.log_likelihood / (written if support.start is None else 2))
        for support in answer.support
    ]
    grounded, weights = [], []
    for start, end, _ in sentences(answer.text):
        sentence = answer.text[start:end]
        best = GroundedSentence(start, end, 0.0, None)
        for support, probability in zip(answer.support, read, strict=True):
            citation = evidence.cite(sentence, support.passage, answer.question)
            if citation and citation.share * probability > best.score:
                best = GroundedSentence(start, end, citation.share * probability, citation)
        grounded.append(best)
        weights.append(_words(sentence))
    total = sum(weight * one.score for weight, one in zip(weights, grounded, strict=True))
    return Grounding(total / sum(weights), grounded)


def _words(text: str) -> int:
    """An answer of signs alone counts as a word."""
    return len(WORD.findall(text)) or 1
