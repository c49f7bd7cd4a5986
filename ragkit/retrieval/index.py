"""Questions to hits: an index on disk that answers searches."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from ragkit.corpus.document import Passage
from ragkit.encoders.encoder import Vectors
from ragkit.errors import RagkitError
from ragkit.index.stored import StoredIndex
from ragkit.index.vector_index import Ids
from ragkit.retrieval.fusion import DEPTH, Candidates, Fusion, Scores, default_fusion
from ragkit.retrieval.hit import Hit

if TYPE_CHECKING:
    from ragkit.retrieval.reranking import Reranker

Mode = Literal["hybrid", "dense", "lexical"]
Ranking = tuple[Scores, Ids]
"""Scores and passage rows of one question, best first."""


class Index(StoredIndex):
    """An index that is searched by meaning (dense), by words (lexical: BM25) or by both (hybrid).

    >>> index = Index.open("indexes/handbook")
    >>> for hit in index.search("what is a triplet loss?", k=3):
    ...     print(hit.rank, hit.score, hit.passage.id)
    """

    reranker: "Reranker | None" = None
    """Set it (`reranking.load_reranker`), and the best passages of every search are read again."""

    @property
    def fusion(self) -> Fusion:
        """What hybrid searches go by: tuned to this index (`ragkit index tune`), else the default."""
        stored = self.manifest.fusion
        return default_fusion() if stored is None else Fusion.from_json(stored)

    def search(
        self, question: str, k: int = 5, *, mode: Mode = "hybrid", filter: str | None = None
    ) -> list[Hit]:
        """The best passages for a question, best first: k of them, or all where fewer pass the filter."""
        return self.search_batch([question], k, mode=mode, filter=filter)[0]

    def search_batch(
        self, questions: Sequence[str], k: int = 5, *, mode: Mode = "hybrid", filter: str | None = None
    ) -> list[list[Hit]]:
        """As `search`, for each of the questions.

        `filter` is an expression over the documents' metadata (`'lang == "en" and year >= 2020'`), exact in
        every mode. Scores are those of the mode: the encoder's similarity, BM25, or the fused log-odds of
        `fusion`, and what a `reranker` adds stays on that scale. An encoder cuts a question at its limit; for
        BM25 all its words count.

        Raises RagkitError for an empty question, k below 1, an unknown mode, a filter that cannot be
        understood, and a lexical or hybrid search of an index without its lexical part.
        """
        if k < 1:
            raise RagkitError(f"k is {k}: ask for at least one passage")
        if mode not in get_args(Mode):
            raise RagkitError(f"no search mode {mode!r}: choose {', '.join(get_args(Mode))}")
        for position, question in enumerate(questions, 1):
            if not question.strip():
                which = f"question {position} of {len(questions)}" if len(questions) > 1 else "the question"
                raise RagkitError(f"{which} is empty: ask something")
        if not questions:
            return []
        allowed = self.allowed(filter)
        depth = k if self.reranker is None else max(k, self.reranker.depth)
        if mode == "lexical":
            rankings = self._lexical(questions, depth, allowed)
        else:
            vectors = self.encoder.encode_questions(questions)
            if mode == "dense":
                rankings = self._dense(vectors, depth, allowed)
            else:
                fuse = self.fusion.fuse
                found = self._candidates(questions, vectors, depth, allowed)
                rankings = [_best(candidates, fuse(candidates), depth) for candidates in found]
        if self.reranker is not None:
            rankings = self._reranked(self.reranker, questions, rankings, mode, k)
        return self._hits(rankings)

    def candidates(
        self, questions: Sequence[str], vectors: Vectors, filter: str | None = None
    ) -> list[Candidates]:
        """What the default hybrid chooses from: for tuning it and for other rules.

        `vectors`: of the questions, (q, d), as the index's encoder gives them.
        """
        return list(self._candidates(questions, vectors, DEPTH, self.allowed(filter)))

    def document_frequencies(self, words: Sequence[str]) -> list[int]:
        """In how many passages each word stands, whatever its ending: the lexical part tells, which must be
        there."""
        return self._reader.lexical.document_frequencies(words)

    def _dense(self, vectors: Vectors, k: int, allowed: Ids | None) -> list[Ranking]:
        return _rankings(*self.dense_candidates(vectors, min(k, len(self)), allowed))

    def _lexical(self, questions: Sequence[str], k: int, allowed: Ids | None) -> list[Ranking]:
        return _rankings(*self.lexical_candidates(questions, min(k, len(self)), allowed))

    def _candidates(
        self, questions: Sequence[str], vectors: Vectors, k: int, allowed: Ids | None
    ) -> Iterator[Candidates]:
        """The best max(k, DEPTH) of each side, each scored exactly by both. Means and deviations are always
        over the first `DEPTH`, so that k changes no score."""
        depth = max(k, DEPTH)
        sides = zip(
            self._dense(vectors, depth, allowed), self._lexical(questions, depth, allowed), strict=True
        )
        for question, vector, (dense, lexical) in zip(questions, vectors, sides, strict=True):
            rows = np.union1d(dense[1], lexical[1])
            others, wordless = np.setdiff1d(rows, dense[1]), np.setdiff1d(rows, lexical[1])
            yield Candidates(
                rows,
                _scores(rows, dense, *self._dense(vector[None], len(others), others)),
                _scores(rows, lexical, *self._lexical([question], len(wordless), wordless)),
                dense[0][:DEPTH],
                lexical[0][:DEPTH],
            )

    def _reranked(
        self, reranker: "Reranker", questions: Sequence[str], rankings: list[Ranking], mode: Mode, k: int
    ) -> list[Ranking]:
        read = self._passages([rows[: reranker.depth] for _, rows in rankings])
        logits = reranker.logits(questions, read)
        reranked = []
        for (scores, rows), of_question in zip(rankings, logits, strict=True):
            scores = reranker.rescore(mode, scores, of_question)
            order = np.argsort(-scores, kind="stable")[:k]
            reranked.append((scores[order], rows[order]))
        return reranked

    def _hits(self, rankings: list[Ranking]) -> list[list[Hit]]:
        return [
            [
                Hit(passage, score, rank)
                for rank, (passage, score) in enumerate(zip(passages, scores.tolist(), strict=True), 1)
            ]
            for passages, (scores, _) in zip(self._passages([r for _, r in rankings]), rankings, strict=True)
        ]

    def _passages(self, rows: list[Ids]) -> list[list[Passage]]:
        """Of each question's rows, all fetched at once."""
        passages = iter(self.passages(np.concatenate(rows)))
        return [list(islice(passages, len(of_question))) for of_question in rows]


def _best(candidates: Candidates, scores: Scores, k: int) -> Ranking:
    order = np.lexsort((candidates.rows, -scores))[:k]
    return scores[order], candidates.rows[order]


def _rankings(scores: Scores, rows: Ids) -> list[Ranking]:
    """One a question, without the padding."""
    return [(s[r >= 0], r[r >= 0]) for s, r in zip(scores, rows, strict=True)]


def _scores(rows: Ids, *rankings: Ranking) -> Scores:
    """The score of each of `rows`, ascending, from rankings that together hold them all."""
    scores = np.empty(len(rows), dtype=np.float32)
    for found, where in rankings:
        scores[np.searchsorted(rows, where)] = found
    return scores
