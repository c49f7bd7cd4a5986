"""Questions out of held-out passages, so that an adapted encoder can be measured without judgements.

A question is up to four words of one sentence, in their order, drawn among those that at most a tenth of the
passages hold. Nothing is trained on such questions: they are neither sentences nor stretches of text, and
passages stand as the index holds them. They are no questions of people either, but ask as a search box is
asked; what people ask in words that the passage lacks, they do not show.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ragkit.corpus.document import Passage
from ragkit.corpus.splitting import WORD
from ragkit.encoders.encoder import Vectors
from ragkit.errors import RagkitError
from ragkit.training.adaptation.passages import overlapping
from ragkit.training.pretraining.mlm_data import sentences

WORDS = 4
COMMON = 0.1
"""Words that more than this share of the passages hold ask for nothing."""
QUESTIONS_A_PASSAGE = 3
MEASURES = ("RR@10", "Success@1", "Success@5")


@dataclass(frozen=True, slots=True)
class SelfTest:
    """Questions, and for each the positions of the passages that are right: its own, and what overlaps it."""

    questions: list[str]
    right: list[list[int]]

    def values(self, questions: Vectors, passages: Vectors) -> dict[str, NDArray[np.float64]]:
        """Each measure question by question, of vectors whose inner product is the score."""
        scores = questions @ passages.T
        best = np.array([row[right].max() for row, right in zip(scores, self.right, strict=True)])
        ranks = 1 + (scores > best[:, None]).sum(axis=1)
        return {
            "RR@10": np.where(ranks <= 10, 1 / ranks, 0.0),
            "Success@1": (ranks <= 1).astype(np.float64),
            "Success@5": (ranks <= 5).astype(np.float64),
        }


def write_self_test(pool: Sequence[Passage], held: int, most: int, seed: int) -> SelfTest:
    """At most `most` questions about the first `held` passages of the pool, each of another sentence.

    Raises:
        RagkitError: if no held-out passage has two words that are not common.
    """
    counts = Counter(word for passage in pool for word in {w.lower() for w in words(passage.text)})
    limit = max(2.0, COMMON * len(pool))
    shared = overlapping(list(pool))
    drawn: list[list[str]] = []
    for at, passage in enumerate(pool[:held]):
        rng = np.random.default_rng((seed, at))
        parts = sentences(passage.text)
        asked = [
            question
            for i in rng.permutation(len(parts)).tolist()
            if (question := _question(parts[i], counts, limit, rng))
        ]
        drawn.append(asked[:QUESTIONS_A_PASSAGE])
    # First one of each passage, then the second ones: so that the limit leaves out as few passages as it can.
    every = [
        (of[turn], at) for turn in range(QUESTIONS_A_PASSAGE) for at, of in enumerate(drawn) if turn < len(of)
    ]
    if not every:
        raise RagkitError(f"the {held} passages held out have no words of their own to ask for")
    return SelfTest([text for text, _ in every[:most]], [sorted(shared[at]) for _, at in every[:most]])


def words(text: str) -> list[str]:
    """The words of a text, without the marks around them."""
    bare = (match.group().strip("\"'.,;:!?()[]{}<>*_-–—…“”‘’«»/") for match in WORD.finditer(text))
    return [word for word in bare if word]


def _question(sentence: str, counts: Counter[str], limit: float, rng: np.random.Generator) -> str:
    rare = [word for word in dict.fromkeys(words(sentence)) if counts[word.lower()] <= limit]
    if len(rare) < 2:
        return ""
    chosen = sorted(rng.permutation(len(rare))[:WORDS].tolist())
    return " ".join(rare[i] for i in chosen)
