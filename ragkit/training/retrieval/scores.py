"""How well an encoder in training finds the passages of held-out questions."""

from collections.abc import Sequence

import numpy as np
from sentence_transformers import SentenceTransformer

from ragkit.encoders.sentence import passage_text
from ragkit.runtime.precision import native_precision
from ragkit.training.retrieval.data import RetrievalSet


class HeldOut:
    """Held-out questions of several sets, each with a pool of passages of its set to find its own among.

    A pool holds the passages of the held-out questions, their hard negatives, and others of the set, evenly
    spread, up to `pool` in all.
    """

    def __init__(self, sets: Sequence[RetrievalSet], pool: int) -> None:
        self._pools = [(data, _pool(data, pool)) for data in sets if data.examples]

    def __bool__(self) -> bool:
        return bool(self._pools)

    def passages(self) -> list[tuple[str, str]]:
        """(title, text) of all pools."""
        return [data.passages[at] for data, pool in self._pools for at in pool]

    def scores(self, model: SentenceTransformer) -> dict[str, float]:
        """Mean Success@1 and RR@10 (0 beyond rank 10) over the questions."""
        ranks = np.concatenate([_ranks(model, data, pool) for data, pool in self._pools])
        return {
            "Success@1": float((ranks == 1).mean()),
            "RR@10": float(np.where(ranks <= 10, 1 / ranks, 0.0).mean()),
        }


def _pool(data: RetrievalSet, size: int) -> list[int]:
    needed = [at for example in data.examples for at in (*example.positives, *example.negatives)]
    stride = max(1, len(data.passages) // max(1, size))
    chosen = dict.fromkeys(needed) | dict.fromkeys(range(0, len(data.passages), stride))
    return list(chosen)[: max(size, len(set(needed)))]


def _ranks(model: SentenceTransformer, data: RetrievalSet, pool: list[int]) -> np.ndarray:
    """The rank of each question's best passage among the pool, from 1, (questions,)."""
    normalise = model.similarity_fn_name == "cosine"
    questions = model.encode_query(
        [example.question for example in data.examples],
        normalize_embeddings=normalise,
        show_progress_bar=False,
    )
    with native_precision(model.device):
        passages = model.encode_document(
            [passage_text(*data.passages[at]) for at in pool],
            normalize_embeddings=normalise,
            show_progress_bar=False,
        )
    scores = questions @ passages.T
    column = {at: i for i, at in enumerate(pool)}
    best = [
        scores[row, [column[at] for at in example.positives]].max()
        for row, example in enumerate(data.examples)
    ]
    return 1 + (scores > np.array(best)[:, None]).sum(axis=1)
