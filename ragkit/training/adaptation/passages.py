"""The passages of an index that an encoder adapts to, and those held out to measure it by."""

import hashlib
from dataclasses import dataclass

import numpy as np

from ragkit.corpus.document import Passage
from ragkit.errors import RagkitError
from ragkit.index.stored import StoredIndex
from ragkit.index.vector_index import Ids

FEW = 10
"""With fewer documents than that, passages are held out instead of documents."""


@dataclass(slots=True)
class AdaptationPassages:
    """`training` may be shown; `pool` is searched in the self-test, its first `held` are asked for."""

    training: list[Passage]
    training_rows: Ids
    pool: list[Passage]
    pool_rows: Ids
    held: int
    documents_held: int
    """Whole documents held out; 0 where only passages are."""


def choose_passages(index: StoredIndex, most: int, held: int, pool: int) -> AdaptationPassages:
    """At most `most` passages to train on, about `held` held out (at most a tenth), and a pool of `pool`.

    Whole documents are held out, chosen by hashes of their ids, so that an index always gives the same ones,
    and of an index of few documents passages at the end of each. Nothing that is trained on overlaps what is
    held out, or has the same text. The pool is what is held out and others, evenly spread.

    Raises:
        RagkitError: if the index is too small to hold a passage out.
    """
    rows = _rows_by_document(index)
    count = sum(map(len, rows.values()))
    wanted = min(held, count // 10)
    if not wanted:
        raise RagkitError(f"{index.path} has {count} passages: too few to adapt to and to measure it")
    chosen: list[int] = []
    documents = 0
    if len(rows) >= FEW:
        for name in sorted(rows, key=_hash):
            if len(chosen) + len(rows[name]) <= 1.5 * wanted:
                chosen += rows[name]
                documents += 1
            if len(chosen) >= wanted:
                break
    if not chosen:
        share = wanted / count
        for of_document in rows.values():
            chosen += of_document[len(of_document) - round(share * len(of_document)) :]
        chosen = chosen or next(iter(rows.values()))[-wanted:]
    kept_out = index.passages(chosen)
    others = np.setdiff1d(np.array([row for each in rows.values() for row in each]), chosen)
    candidates = _spread(others, most)
    shown = index.passages(candidates)
    free = _without_overlap(shown, kept_out)
    beside = _spread(others, max(0, pool - len(chosen)))
    pool_rows = np.concatenate([np.array(chosen, dtype=np.int64), beside])
    in_pool = kept_out + index.passages(beside)
    return AdaptationPassages(
        [shown[at] for at in free], candidates[free], in_pool, pool_rows, len(chosen), documents
    )


def overlapping(passages: list[Passage]) -> list[set[int]]:
    """For each passage the positions of those that share words with it, itself included: a stretch of the
    same document, or the same text."""
    by_document: dict[str, list[int]] = {}
    by_text: dict[str, set[int]] = {}
    for at, passage in enumerate(passages):
        by_document.setdefault(passage.document_id, []).append(at)
        by_text.setdefault(passage.text, set()).add(at)
    found = [set(by_text[passage.text]) for passage in passages]
    for positions in by_document.values():
        ordered = sorted(positions, key=lambda at: passages[at].start)
        for rank, at in enumerate(ordered):
            for other in ordered[rank + 1 :]:
                if passages[other].start >= passages[at].end:
                    break
                found[at].add(other)
                found[other].add(at)
    return found


def _without_overlap(passages: list[Passage], held: list[Passage]) -> list[int]:
    """The positions of passages that overlap none of those held out."""
    shared = overlapping(held + passages)
    kept_out = set().union(*shared[: len(held)])
    return [at for at in range(len(passages)) if at + len(held) not in kept_out]


def _rows_by_document(index: StoredIndex) -> dict[str, list[int]]:
    named = index.rows_by_id()
    return {name: named[name] for name in sorted(index.document_ids()) if name in named}


def _spread(rows: Ids, most: int) -> Ids:
    """At most so many of the rows, evenly spread."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
