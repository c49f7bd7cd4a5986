"""Exact search: every vector is scored, by matrix products as fast as numpy's BLAS makes them.

FAISS's wheels bring a BLAS of their own that knows no recent processor: its search for a batch of questions
takes three times as long. For single questions FAISS's scan is the faster one.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ragkit.index.vector_index import Ids, Scores

QUERIES = 256
GROUP = 16


def best_products(
    questions: npt.NDArray[np.float32], blocks: Iterable[tuple[Ids, npt.NDArray[np.float32]]], k: int
) -> tuple[Scores, Ids]:
    """The k highest inner products of each of (q, d) questions with the vectors of all blocks: (q, k) scores
    and positions, best first, ties to the lower position, padded with -inf and -1.

    `blocks`: positions (n,), ascending, and their vectors (n, d), some thousand at a time.
    """
    scores, best = padding(len(questions), k)
    for positions, vectors in blocks:
        for first in range(0, len(questions), QUERIES):
            some = slice(first, first + QUERIES)
            products = questions[some] @ vectors.T
            least = np.maximum(scores[some, -1], _bound(products, k))
            rows, columns = np.divmod(np.flatnonzero(products >= least[:, None]), len(positions))
            rows = np.concatenate([rows, np.repeat(np.arange(len(products)), k)])
            values = np.concatenate([products[rows[: len(columns)], columns], scores[some].ravel()])
            ids = np.concatenate([positions[columns], best[some].ravel()])
            order = np.lexsort((ids, -values, rows))
            rows = rows[order]
            rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
            order, rows, rank = order[rank < k], rows[rank < k], rank[rank < k]
            scores[some][rows, rank], best[some][rows, rank] = values[order], ids[order]
    return scores, best


def padding(queries: int, k: int) -> tuple[Scores, Ids]:
    """What a search returns that finds nothing."""
    return np.full((queries, k), -np.inf, dtype=np.float32), np.full((queries, k), -1, dtype=np.int64)


def _bound(products: Scores, k: int) -> Scores:
    """No higher than the k-th highest of each row, and little lower: the k-th highest of the highest of
    groups, of which each has a member as high."""
    groups = products.shape[1] // GROUP
    if groups < k:
        return np.full(len(products), -np.inf, dtype=np.float32)
    highest = products[:, : groups * GROUP].reshape(-1, GROUP, groups).max(axis=1)
    return np.partition(highest, groups - k, axis=1)[:, groups - k]
