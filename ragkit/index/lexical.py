"""BM25 over title and text with bm25s: English stemming and stop words, built anew from the stored passages
at every write (`lexical_writing.py`), memory-mapped when read."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ragkit.errors import RagkitError
from ragkit.index.lexical_writing import tokenize, write_lexical
from ragkit.index.vector_index import Ids, Scores

if TYPE_CHECKING:
    from bm25s import BM25

FOLDER = "lexical"


class LexicalIndex:
    """The BM25 index of one generation."""

    def __init__(self, folder: Path, rows: Ids):
        """`rows`: the passage row of each text, ascending. Raises RagkitError where a file is damaged."""
        self.rows = rows
        self._model: BM25 | None = None
        if any(folder.iterdir()):
            import bm25s

            try:
                self._model = bm25s.BM25.load(folder, mmap=True, show_progress=False)
                texts = self._model.scores["num_docs"]
            except Exception as error:  # whatever numpy and json make of damaged files
                raise RagkitError(f"{folder} is damaged ({error}): build the index again") from error
            if texts != len(rows):
                raise RagkitError(
                    f"{folder} is damaged ({texts} texts, not {len(rows)}): build the index again"
                )

    def search(self, questions: Sequence[str], k: int, allowed: Ids | None = None) -> tuple[Scores, Ids]:
        """The k best rows a question, best first: (q, k) scores and rows, padded with -inf and -1.

        With `allowed`, only those rows are considered, and min(k, len(allowed)) of them come back, those that
        share no term with the question last, with a score of 0.
        """
        scores = np.full((len(questions), k), -np.inf, dtype=np.float32)
        rows: Ids = np.full((len(questions), k), -1, dtype=np.int64)
        candidates = self.rows if allowed is None else np.intersect1d(self.rows, allowed, assume_unique=True)
        positions = None if allowed is None else np.searchsorted(self.rows, candidates)
        for i, tokens in enumerate(tokenize(questions, return_ids=False) if questions else ()):
            scored = self._scores(tokens)
            scored = scored if positions is None else scored[positions]
            best = top(scored, k)
            scores[i, : len(best)], rows[i, : len(best)] = scored[best], candidates[best]
        return scores, rows

    def document_frequencies(self, words: Sequence[str]) -> list[int]:
        """In how many texts each word, or another of its stem, stands."""
        import Stemmer

        if self._model is None:
            return [0] * len(words)
        ends, columns = self._model.scores["indptr"], self._model.vocab_dict
        stems = Stemmer.Stemmer("english").stemWords([word.lower() for word in words])
        ids = [columns.get(stem) for stem in stems]
        return [0 if i is None else int(ends[i + 1] - ends[i]) for i in ids]

    def _scores(self, tokens: list[str]) -> Scores:
        known = self._model.get_tokens_ids(tokens) if self._model else []
        if not known or self._model is None:
            return np.zeros(len(self.rows), dtype=np.float32)
        return self._model.get_scores_from_ids(known)


def top(scores: Scores, k: int) -> npt.NDArray[np.int64]:
    """Positions of the k highest scores, highest first; ties go to the lower position."""
    if k >= len(scores):
        return np.argsort(-scores, kind="stable")
    least = np.partition(scores, len(scores) - k)[len(scores) - k]
    above = np.flatnonzero(scores > least)
    best = np.concatenate([above, np.flatnonzero(scores == least)[: k - len(above)]])
    return best[np.argsort(-scores[best], kind="stable")]


def rank_by_words(texts: Sequence[str], questions: Sequence[str], k: int) -> tuple[Scores, Ids]:
    """BM25 over texts that have no index, in a folder for the time being: as `LexicalIndex.search`."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "lexical"
        write_lexical(texts, folder)
        index = LexicalIndex(folder, np.arange(len(texts), dtype=np.int64))
        found = index.search(questions, k)
        del index  # lets go of its files
    return found
