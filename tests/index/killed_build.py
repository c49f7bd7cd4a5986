"""Forks builds that a test kills: `python killed_build.py INDEX LOG`, then a version number a line on stdin.

For each line a child begins to build that version of the corpus, and its process id is printed. When the
child is gone its exit status is printed. Everything is imported once, here.
"""

import os
import sys
import time
from pathlib import Path

import bm25s  # noqa: F401
import faiss  # noqa: F401  # imported before the fork, as are these:
import pyarrow.compute  # noqa: F401
import Stemmer  # noqa: F401

sys.path.insert(0, str(Path(__file__).parents[1]))

from hashing_encoder import HashingEncoder

from ragkit.corpus import splitting  # noqa: F401
from ragkit.corpus.document import Document
from ragkit.index import faiss_index, lexical, writing  # noqa: F401
from ragkit.index.stored import StoredIndex

DOCUMENTS = 160
BATCH = 16


def documents(version: int) -> list[Document]:
    """A fifth of the documents changes from one version to the next."""
    return [
        Document(
            f"d{i}", f"text {i} of version {version if i % 5 == version % 5 else 0} " + "and more " * (i % 7)
        )
        for i in range(DOCUMENTS)
    ]


class SlowEncoder(HashingEncoder):
    """Takes long enough that a kill often finds it at work."""

    def encode_passages(self, passages):  # type: ignore[no-untyped-def]
        time.sleep(0.01)
        return super().encode_passages(passages)


def main() -> None:
    index, log = Path(sys.argv[1]), Path(sys.argv[2])
    writing.ENCODED_AT_ONCE = BATCH
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            StoredIndex.build(documents(int(line)), index, encoder=SlowEncoder(log=log))
            os._exit(0)
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    main()
