"""What a search returns."""

from dataclasses import dataclass

from ragkit.corpus.document import Passage


@dataclass(frozen=True, slots=True)
class Hit:
    """One passage found. `rank` counts from 1; `score` is on the scale of the mode that found it
    (similarity, BM25, or the fused score), higher is better, and p(z|x) is its softmax over the top k."""

    passage: Passage
    score: float
    rank: int
