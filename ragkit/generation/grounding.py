"""How far an answer is grounded in its passages: a low score warns of a hallucination.

A sentence s of the answer y to the question x is grounded in a passage z as far as its words stand there and
as far as z is read as answering the question,

    g(s, z) = share(s, z) * p(y|x,z) ** (1 / (words of y + 1))
    g(s) = max_z g(s, z),    g(y) = mean g(s)

with `share` of `evidence`, and p(y|x,z) a word (the end is one, too) by the model that answered. Words alone
would not do: what an extractive reader gives always stands in its passage, even when the passage is about
something else. The mean weighs each sentence by its words.
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
    words = _words(answer.text)
    evidence = evidence or Evidence()
    read = [math.exp(support.log_likelihood / (words + 1)) for support in answer.support]
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
