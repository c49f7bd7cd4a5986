"""RAG-Token: every token may lean on another passage.

p(y|x) = prod_t sum_z p(z|x) p(y_t | x, z, y_<t)          (Lewis et al. 2020, section 2.1)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.generation.candidates import Candidates, unknown
from ragkit.generation.marginal import Logs, log_sum
from ragkit.generation.rag import Rag

if TYPE_CHECKING:
    from ragkit.generation.generator import Reading


class RagToken(Rag):
    """Answers by RAG-Token: beam search over the mixture of all passages; the arguments are those of `Rag`.

    `Support.posterior` is p(z|x) prod_t p(y_t|x,z,y_<t), normalised over the passages: how far each passage
    alone accounts for the whole answer. `Answer.without` weighs the same candidates without a passage.
    """

    @property
    def config(self) -> dict[str, Any]:
        return {"model": "rag-token", **super().config}

    def _candidates(self, reading: Reading, log_priors: list[Logs]) -> list[Candidates]:
        import torch

        from ragkit.generation.beams import beam_search

        # A question with fewer passages than others is filled up with its first, at probability 0.
        passages = max(len(prior) for prior in log_priors)
        weights = np.full((len(log_priors), passages), -np.inf)
        rows = np.zeros((len(log_priors), passages), dtype=np.int64)
        begin = 0
        for question, prior in enumerate(log_priors):
            weights[question, : len(prior)] = prior
            rows[question] = begin
            rows[question, : len(prior)] += np.arange(len(prior))
            begin += len(prior)
        device = reading.logits.device
        hypotheses = beam_search(
            reading.select(torch.from_numpy(rows.ravel()).to(device)),
            torch.from_numpy(weights),
            self.generator.ending,
            beams=self.beams,
            max_tokens=self.max_answer_tokens,
            min_tokens=self.min_answer_tokens,
        )
        found = []
        for proposed, prior in zip(hypotheses, log_priors, strict=True):
            answers = [hypothesis.tokens for hypothesis in proposed]
            shape = (len(answers), len(prior))
            found.append(Candidates(answers, np.ones(shape, dtype=bool), unknown(answers, len(prior))))
        return found

    def _log_probability(self, log_prior: Logs, tokens: Logs) -> Logs:
        return log_sum(np.swapaxes(log_prior[:, None] + tokens, 1, 2)).sum(-1)
