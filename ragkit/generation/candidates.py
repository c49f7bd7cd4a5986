"""Answers proposed for a question, and what is known of their likelihoods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ragkit.generation.marginal import Logs

if TYPE_CHECKING:
    from ragkit.generation.generator import Hypothesis, Tokens


@dataclass(frozen=True, slots=True)
class Candidates:
    """Answers proposed for one question.

    Attributes:
        answers: C different token sequences, each with its end.
        found_by: which passages' beams proposed it, (C, k).
        log_p: log p(y_t|x,z,y_<t), (C, k, T), 0 behind an end; NaN where it has yet to be computed, -inf
            where p(y|x,z) is taken as 0.
    """

    answers: list[Tokens]
    found_by: npt.NDArray[np.bool_]
    log_p: Logs

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each answer, (C,)."""
        return np.array([len(answer) for answer in self.answers])

    def only(self, chosen: Sequence[int] | npt.NDArray[np.int64]) -> Candidates:
        """These of them, in this order."""
        return Candidates([self.answers[c] for c in chosen], self.found_by[chosen], self.log_p[chosen])


def merged(hypotheses: Sequence[Sequence[Hypothesis]]) -> Candidates:
    """What the beams of k passages proposed: equal answers once, in order of first appearance."""
    places: dict[Tokens, int] = {}
    for proposed in hypotheses:
        for hypothesis in proposed:
            places.setdefault(hypothesis.tokens, len(places))
    answers = list(places)
    log_p = unknown(answers, len(hypotheses))
    found_by = np.zeros(log_p.shape[:2], dtype=bool)
    for z, proposed in enumerate(hypotheses):
        for hypothesis in proposed:
            c = places[hypothesis.tokens]
            found_by[c, z] = True
            log_p[c, z, : len(hypothesis.log_p)] = hypothesis.log_p
    return Candidates(answers, found_by, log_p)


def unknown(answers: Sequence[Tokens], passages: int) -> Logs:
    """`Candidates.log_p` of which nothing is known yet."""
    log_p = np.full((len(answers), passages, max(map(len, answers))), np.nan)
    for c, answer in enumerate(answers):
        log_p[c, :, len(answer) :] = 0.0
    return log_p
