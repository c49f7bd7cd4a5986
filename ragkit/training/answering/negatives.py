"""Hard negatives: passages that look like the answer to a question and do not hold it."""

from collections.abc import Sequence

import numpy as np

from ragkit.training.answering.data import ReadingExample


class HardNegatives:
    """BM25 neighbours over the passages of a training set (bm25s; the idea of DPR, Karpukhin et al. 2020)."""

    def __init__(self, passages: Sequence[str]) -> None:
        """Indexes the passages; what is drawn are their positions in this sequence."""
        import bm25s

        self._bm25s = bm25s
        self._folded = [passage.casefold() for passage in passages]
        self._index = bm25s.BM25()
        self._index.index(self._tokens(passages), show_progress=False)

    def draw(
        self,
        examples: Sequence[ReadingExample],
        gold: Sequence[int],
        rng: np.random.Generator,
        among: int = 10,
    ) -> list[int | None]:
        """One wrong passage for every example, at random from its `among` nearest.

        A wrong passage is neither the gold one nor one that contains any gold answer; None where no
        neighbour is left.
        """
        k = min(among, len(self._folded))
        hits, _ = self._index.retrieve(self._tokens([e.question for e in examples]), k=k, show_progress=False)
        drawn: list[int | None] = []
        for example, own, row in zip(examples, gold, hits, strict=True):
            answers = [answer.casefold() for answer in example.answers]
            wrong = [
                int(hit)
                for hit in row
                if hit != own and not any(answer in self._folded[hit] for answer in answers)
            ]
            drawn.append(wrong[rng.integers(len(wrong))] if wrong else None)
        return drawn

    def _tokens(self, texts: Sequence[str]) -> object:
        return self._bm25s.tokenize(list(texts), stopwords="en", show_progress=False)
