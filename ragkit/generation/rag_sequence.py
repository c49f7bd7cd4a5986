"""RAG-Sequence: one passage stands behind the whole answer.

p(y|x) = sum_z p(z|x) prod_t p(y_t | x, z, y_<t)          (Lewis et al. 2020, section 2.1)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ragkit.errors import RagkitError
from ragkit.generation.candidates import Candidates, merged
from ragkit.generation.marginal import Logs, log_sum
from ragkit.generation.rag import Rag

if TYPE_CHECKING:
    from ragkit.generation.generator import Generator, Reading
    from ragkit.retrieval.index import Index

Decoding = Literal["thorough", "fast"]


class RagSequence(Rag):
    """Answers by RAG-Sequence; the arguments are those of `Rag`, and

    Args:
        decoding: "thorough" scores every passage's hypotheses under every passage; "fast" takes p(y|x,z) as 0
            where y was not among the hypotheses of z (section 2.5 of the paper).

    >>> rag = RagSequence(index)                                                  # doctest: +SKIP
    >>> rag.ask("what is a slice?").text                                          # doctest: +SKIP
    'a selection of items in a sequence object'
    """

    def __init__(
        self,
        index: Index | None = None,
        generator: str | Generator = "packaged",
        *,
        decoding: Decoding = "thorough",
        **options: Any,
    ) -> None:
        if decoding not in ("thorough", "fast"):
            raise RagkitError(f"no such decoding: {decoding!r}; there are thorough and fast")
        super().__init__(index, generator, **options)
        self.decoding: Decoding = decoding

    @property
    def config(self) -> dict[str, Any]:
        return {"model": "rag-sequence", **super().config, "decoding": self.decoding}

    def _candidates(self, reading: Reading, log_priors: list[Logs]) -> list[Candidates]:
        import torch

        from ragkit.generation.beams import beam_search

        hypotheses = iter(
            beam_search(
                reading,
                torch.zeros(len(reading.logits), 1),
                self.generator.ending,
                beams=self.beams,
                max_tokens=self.max_answer_tokens,
                min_tokens=self.min_answer_tokens,
            )
        )
        found = []
        for prior in log_priors:
            candidates = merged([next(hypotheses) for _ in prior])
            if self.decoding == "fast":
                candidates.log_p[~candidates.found_by] = -np.inf
            found.append(candidates)
        return found

    def _scored(
        self, reading: Reading, candidates: list[Candidates], log_priors: list[Logs], keep: int | None
    ) -> list[Candidates]:
        from ragkit.generation.thorough import score

        return score(reading, candidates, log_priors, keep)

    def _log_probability(self, log_prior: Logs, tokens: Logs) -> Logs:
        return log_sum(log_prior + tokens.sum(-1))
