"""Thorough decoding: candidates are scored under the passages whose beams did not propose them.

    p(y|x) = sum_z p(z|x) prod_t p(y_t | x, z, y_<t)          (Lewis et al. 2020, section 2.5)

A factor is at most 1. So what is known of an answer's first tokens bounds p(y|x,z) from above, their sum over
the passages bounds p(y|x), and a candidate whose bound lies below as many sums as are asked for is not among
the likeliest: it is scored no further. That is exact. Beginnings that candidates share are computed once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ragkit.generation.candidates import Candidates
from ragkit.generation.generator import ELEMENTS, Reading, Tokens, even
from ragkit.generation.marginal import Logs, log_sum

SLACK = 1e-3
"""Of log p, more than rounding makes of it: what is so close to the bound is scored on."""
STRIDE, LEADERS_STRIDE = 1, 4
"""Tokens of an answer read in a first pass; each pass reads twice as many as the one before. A pass reads all
the decoder's weights, so that few are better; candidates with little chance soon drop out, so that short ones
are."""

Node = tuple[int, Tokens]
"""A row of the reading of the prompts, and tokens written behind it."""


@dataclass(slots=True)
class _Question:
    first: int
    """Row of its first passage in the reading."""
    prior: Logs
    candidates: Candidates
    keep: int
    known: npt.NDArray[np.int64]
    """Of how many tokens log p is known, (C, k)."""

    def bounds(self) -> tuple[Logs, Logs]:
        """log p(y|x) from below and from above, (C,)."""
        sums = self.prior + np.nansum(self.candidates.log_p, axis=-1)
        return log_sum(np.where(self.lacking(), -np.inf, sums)), log_sum(sums)

    def lacking(self) -> npt.NDArray[np.bool_]:
        """Which likelihoods are not known to the end, (C, k)."""
        return self.known < self.candidates.lengths[:, None]

    def undecided(self) -> tuple[list[int], list[int]]:
        """Candidates to score on: those that may be among the `keep` likeliest, and of them those that are
        by what is known, where not all are kept."""
        low, high = self.bounds()
        leaders = np.argsort(-low, kind="stable")[: self.keep]
        least = low[leaders[-1]] - SLACK if self.keep < len(low) else -np.inf
        open = np.flatnonzero((high >= least) & self.lacking().any(-1)).tolist()
        return open, [c for c in open if c in leaders] if least > -np.inf else []


_Pair = tuple[_Question, int, int]
"""A candidate and a passage of a question."""


def score(
    reading: Reading, candidates: Sequence[Candidates], log_priors: Sequence[Logs], keep: int | None = None
) -> list[Candidates]:
    """The `keep` likeliest candidates of every question, all where it is None, with all their log p.

    Args:
        reading: the questions' prompts, side by side.
        candidates, log_priors: of each question; both know its k passages.
    """
    firsts = np.cumsum([0, *(len(prior) for prior in log_priors)]).tolist()
    questions = [
        _Question(
            first,
            prior,
            proposed,
            len(proposed.answers) if keep is None else min(keep, len(proposed.answers)),
            np.where(np.isnan(proposed.log_p).any(-1), 0, proposed.lengths[:, None]),
        )
        for first, prior, proposed in zip(firsts, log_priors, candidates, strict=False)
    ]
    _first_tokens(reading, questions)
    frontier = _Frontier(reading)
    stride, leaders_stride = STRIDE, LEADERS_STRIDE
    while True:
        open, leading = zip(*(question.undecided() for question in questions), strict=True)
        # Who leads sets the bound for the others: first to the end with them.
        chosen = leading if any(leading) else open
        pairs = [
            (question, c, z)
            for question, some in zip(questions, chosen, strict=True)
            for c in some
            for z in np.flatnonzero(question.lacking()[c]).tolist()
        ]
        if not pairs:
            break
        if any(leading):
            frontier.advance(pairs, leaders_stride)
            leaders_stride *= 2
        else:
            frontier.advance(pairs, stride)
            stride *= 2
    return [
        question.candidates.only(np.sort(np.argsort(-question.bounds()[0], kind="stable")[: question.keep]))
        for question in questions
    ]


def _first_tokens(reading: Reading, questions: Sequence[_Question]) -> None:
    """log p of each candidate's first token, from the logits that the prompts ended in."""
    normaliser = reading.logits.logsumexp(-1).double().cpu()
    for question in questions:
        candidates, passages = np.nonzero(question.known == 0)
        rows = torch.from_numpy(question.first + passages)
        tokens = torch.tensor([question.candidates.answers[c][0] for c in candidates], dtype=torch.long)
        device = reading.logits.device
        logits = reading.logits[rows.to(device), tokens.to(device)].double().cpu()
        question.candidates.log_p[candidates, passages, 0] = (logits - normaliser[rows]).numpy()
        question.known[candidates, passages] = 1


class _Frontier:
    """Answers begun on the prompts, each with the reading that it was written in and its row there."""

    def __init__(self, prompts: Reading) -> None:
        self.prompts = prompts
        self.begun: dict[Node, tuple[Reading, int]] = {}

    def advance(self, pairs: Sequence[_Pair], stride: int) -> None:
        """Makes log p of `stride` tokens more known for every pair; of all, where few would be left.

        Where prompts are not shared it is always of all: what is begun would keep copies of them.
        """
        left = max(len(question.candidates.answers[c]) - question.known[c, z] for question, c, z in pairs)
        if 2 * left <= 3 * stride or not self.prompts.shares:
            stride = int(left)
        steps: dict[tuple[Node, Tokens], list[_Pair]] = defaultdict(list)
        for question, c, z in pairs:
            answer, known = question.candidates.answers[c], int(question.known[c, z])
            # The last token known has yet to be read; after the answer's last one nothing counts.
            fed = answer[known - 1 : -1][:stride]
            steps[(question.first + z, answer[: known - 1]), fed].append((question, c, z))
        for parent, some in self._passes(list(steps)):
            device = self.prompts.logits.device
            longest = max(len(fed) for _, (_, fed) in some)
            padded = [fed + (0,) * (longest - len(fed)) for _, (_, fed) in some]
            reading = parent.select(torch.tensor([row for row, _ in some], device=device))
            logits = reading.extend(torch.tensor(padded, device=device))
            wanted: list[tuple[int, int, int]] = []
            places: list[tuple[_Pair, int]] = []
            for at, ((row, prefix), fed) in enumerate(step for _, step in some):
                if stride < left:
                    self.begun[row, prefix + fed] = reading, at
                for question, c, z in steps.pop(((row, prefix), fed), ()):
                    known = int(question.known[c, z])
                    for i in range(len(fed)):
                        wanted.append((at, i, question.candidates.answers[c][known + i]))
                        places.append(((question, c, z), known + i))
                    question.known[c, z] = known + len(fed)
            rows, after, tokens = torch.tensor(wanted, device=device).T
            log_p = logits[rows, after, tokens].double() - logits.logsumexp(-1).double()[rows, after]
            for ((question, c, z), t), value in zip(places, log_p.tolist(), strict=True):
                question.candidates.log_p[c, z, t] = value

    def _passes(
        self, steps: Sequence[tuple[Node, Tokens]]
    ) -> Iterator[tuple[Reading, list[tuple[int, tuple[Node, Tokens]]]]]:
        """Steps to take in one pass: the reading that they go on from, and its row for each.

        Where a reading does not share its prompts, a pass is over one prompt, which need not be copied.
        """
        together: dict[tuple[int, int], list[tuple[int, tuple[Node, Tokens]]]] = defaultdict(list)
        readings: dict[int, Reading] = {}
        for step in sorted(steps):
            reading, row = self.begun.get(step[0], (self.prompts, step[0][0]))
            readings[id(reading)] = reading
            together[id(reading), -1 if reading.shares else step[0][0]].append((row, step))
        for (name, _), some in together.items():
            longest = max(len(fed) for _, (_, fed) in some)
            size = max(1, ELEMENTS // (longest * self.prompts.logits.shape[-1]))
            for at in range(0, len(some), size):
                part = some[at : at + size]
                yield readings[name], [part[i] for i in even([row for _, ((row, _), _) in part])]
