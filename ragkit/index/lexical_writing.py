"""BM25 scores of a corpus of any size, in the layout that bm25s reads.

bm25s itself holds all tokens in memory, about 3 kB a passage. Here terms are counted some thousand texts at
a time, the counts wait in a file until idf and mean length are known, and then the scores of each term go
where they belong in memory-mapped arrays. Memory holds the counts of one chunk, the vocabulary, and 4 bytes
a text.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from bm25s.tokenization import Tokenized

CHUNK_TEXTS = 8192
CHUNK_CHARACTERS = 1 << 22

Numbers = npt.NDArray[np.int64]


def tokenize(texts: Iterable[str], **options: Any) -> "Tokenized":
    """English stems without stop words."""
    import bm25s
    import Stemmer

    return bm25s.tokenize(
        texts, stopwords="en", stemmer=Stemmer.Stemmer("english"), show_progress=False, **options
    )


def write_lexical(texts: Iterable[str], folder: Path) -> None:
    """Scores every term of every text (Lucene's BM25, k1 1.5, b 0.75: Kamphuis et al., ECIR 2020) and saves
    them. Where there is no word in any text the folder stays empty."""
    import bm25s

    folder.mkdir()
    with TemporaryDirectory(prefix="postings-", dir=folder.parent) as temporary:
        with (Path(temporary) / "counts").open("w+b") as file:
            counts = _Counts(texts, file)
            if not counts.vocabulary:
                return
            model = bm25s.BM25()
            model.scores = counts.scores(Path(temporary), model.k1, model.b)
        model.vocab_dict = counts.vocabulary
        model.nonoccurrence_array = None
        model.save(folder)


class _Counts:
    """How often each term stands in each text; terms are numbered as they first come."""

    def __init__(self, texts: Iterable[str], file: IO[bytes]):
        self.vocabulary: dict[str, int] = {}
        self._file = file
        self._chunks = 0
        lengths = [np.empty(0, dtype=np.int32)]
        self._texts_with = np.empty(0, dtype=np.int64)
        """How many texts each term stands in."""
        texts_before = 0
        for chunk in _chunks(texts):
            tokens = tokenize(chunk)
            lengths.append(np.array([len(ids) for ids in tokens.ids], dtype=np.int32))
            terms, places, times = self._count(tokens, lengths[-1])
            np.save(file, np.stack([terms, places + texts_before, times]).astype(np.int32))
            self._chunks += 1
            self._texts_with = np.pad(self._texts_with, (0, len(self.vocabulary) - len(self._texts_with)))
            self._texts_with += np.bincount(terms, minlength=len(self.vocabulary))
            texts_before += len(chunk)
        self._lengths = np.concatenate(lengths)

    def scores(self, folder: Path, k1: float, b: float) -> dict[str, Any]:
        """As a sparse matrix of texts by terms, column by column, in files of `folder`."""
        texts, total = len(self._lengths), int(self._texts_with.sum())
        data = np.memmap(folder / "data", dtype=np.float32, mode="w+", shape=(total,))
        indices = np.memmap(folder / "indices", dtype=np.int32, mode="w+", shape=(total,))
        ends = np.concatenate([[0], np.cumsum(self._texts_with)])
        idf = np.log1p((texts - self._texts_with + 0.5) / (self._texts_with + 0.5)).astype(np.float32)
        norms = k1 * (1 - b + b * self._lengths / self._lengths.mean())
        following = ends[:-1].copy()
        self._file.seek(0)
        for _ in range(self._chunks):
            terms, places, times = np.load(self._file)
            some, first, count = np.unique(terms, return_index=True, return_counts=True)
            at = np.arange(len(terms)) + np.repeat(following[some] - first, count)
            following[some] += count
            data[at] = idf[terms] * (times / (times + norms[places]))
            indices[at] = places
        return {"data": data, "indices": indices, "indptr": ends, "num_docs": texts}

    def _count(self, tokens: "Tokenized", lengths: npt.NDArray[np.int32]) -> tuple[Numbers, Numbers, Numbers]:
        """Term, text and number of times, by term, then by text."""
        number = np.empty(len(tokens.vocab), dtype=np.int64)
        for term in sorted(tokens.vocab):
            number[tokens.vocab[term]] = self.vocabulary.setdefault(term, len(self.vocabulary))
        ids = np.fromiter(chain.from_iterable(tokens.ids), dtype=np.int64, count=int(lengths.sum()))
        pairs = number[ids] * CHUNK_TEXTS + np.repeat(np.arange(len(lengths)), lengths)
        pairs, times = np.unique(pairs, return_counts=True)
        return pairs // CHUNK_TEXTS, pairs % CHUNK_TEXTS, times


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    characters = 0
    for text in texts:
        chunk.append(text)
        characters += len(text)
        if len(chunk) == CHUNK_TEXTS or characters > CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk
