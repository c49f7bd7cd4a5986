"""The passage graph: which passages of an index belong together, whatever is asked. Integration 11.

Three kinds of edges, each in both directions:

    document   passages that follow each other, at most `WINDOW` apart, in one document or under one title
    nearest    a passage and the `NEAREST` whose vectors are most like its own
    link       a passage that names the title of another document, and the first passage of that document

Records of a data set are documents of one passage each; those of one article share its title.
"""

import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from ragkit.corpus.document import Passage
from ragkit.errors import RagkitError
from ragkit.index.stored import StoredIndex

KINDS = ("document", "nearest", "link")
WINDOW = 2
NEAREST = 5
LONGEST_TITLE = 8
"""Words; longer titles are sentences, which nobody names."""
AT_ONCE = 2_000
"""Passages read, or searched for, at once."""

Edges = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PassageGraph:
    """
    Attributes:
        rows: how many rows the index numbers, deleted ones included.
        edges: of each kind, (2, edges), from row to row.
    """

    rows: int
    edges: Mapping[str, Edges]

    @classmethod
    def build(cls, index: StoredIndex) -> "PassageGraph":
        """Reads each passage twice, and searches once for each: minutes for a million.

        Raises RagkitError where the index's cache lacks vectors.
        """
        live = np.unique(np.concatenate([np.asarray(rows) for rows in index.rows_by_id().values()]))
        edges = {
            "document": _following(index, live),
            "nearest": _nearest(index, live),
            "link": _links(index, live),
        }
        return cls(int(live.max()) + 1, edges)

    def without_edges(self) -> "PassageGraph":
        """The same passages, each for itself: what a graph must be compared with."""
        return PassageGraph(self.rows, {kind: np.empty((2, 0), dtype=np.int64) for kind in self.edges})

    def save(self, path: Path) -> None:
        save_file({"rows": np.array([self.rows]), **self.edges}, path)

    @classmethod
    def load(cls, path: Path) -> "PassageGraph":
        """Raises RagkitError where there is none in the file."""
        try:
            kept = load_file(path)
            return cls(int(kept["rows"][0]), {kind: kept[kind] for kind in KINDS})
        except (OSError, SafetensorError, KeyError) as error:
            raise RagkitError(f"{path} holds no passage graph: {error}") from error


def _read(index: StoredIndex, live: Edges) -> Iterator[tuple[int, Passage]]:
    for at in range(0, len(live), AT_ONCE):
        rows = live[at : at + AT_ONCE]
        yield from zip(rows.tolist(), index.passages(rows), strict=True)


def _following(index: StoredIndex, live: Edges) -> Edges:
    last: dict[tuple[str, str], deque[int]] = {}
    pairs = []
    for row, passage in _read(index, live):
        for key in (("document", passage.document_id), ("title", passage.title)):
            if key[1]:
                before = last.setdefault(key, deque(maxlen=WINDOW))
                pairs += [(other, row) for other in before]
                before.append(row)
    return _both_ways(pairs)


def _nearest(index: StoredIndex, live: Edges) -> Edges:
    vectors, pairs = index.passage_vectors(), []
    for at in range(0, len(live), AT_ONCE):
        rows = live[at : at + AT_ONCE]
        _, found = index.dense_candidates(vectors(rows), min(NEAREST + 1, len(live)))
        for row, near in zip(rows.tolist(), found.tolist(), strict=True):
            pairs += [(other, row) for other in near if other not in (row, -1)][:NEAREST]
    return _both_ways(pairs)


def _links(index: StoredIndex, live: Edges) -> Edges:
    """Titles are looked for as they are written, so that "Time" is not found in "by that time"."""
    first: dict[str, int] = {}
    for row, passage in _read(index, live):
        first.setdefault(passage.title, row)
    by_word: dict[str, list[tuple[list[str], int]]] = {}
    for title, row in first.items():
        words = _words(title)
        if 0 < len(words) <= LONGEST_TITLE and len(title) > 3:
            by_word.setdefault(words[0], []).append((words, row))
    pairs = []
    for row, passage in _read(index, live):
        own = first[passage.title]
        words = _words(passage.text)
        named = {
            other
            for at, word in enumerate(words)
            for title, other in by_word.get(word, ())
            if words[at : at + len(title)] == title
        }
        pairs += [(other, row) for other in sorted(named - {own, row})]
    return _both_ways(pairs)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def _both_ways(pairs: list[tuple[int, int]]) -> Edges:
    """(2, edges), each direction once, without loops."""
    one_way = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    both = np.unique(np.concatenate([one_way, one_way[:, ::-1]]), axis=0)
    return np.ascontiguousarray(both[both[:, 0] != both[:, 1]].T)
