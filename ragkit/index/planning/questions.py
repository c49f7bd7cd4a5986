"""What a plan and its check ask: a few hundred questions as vectors, of which the user need have none."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ragkit.corpus.splitting import sentence_ends
from ragkit.errors import RagkitError
from ragkit.index.stored import StoredIndex
from ragkit.index.vector_index import Ids

QUESTIONS = 300
SENTENCES = "sentences"
VECTORS = "vectors"


@dataclass(frozen=True)
class Questions:
    """Vectors to search with."""

    kind: str
    """"sentences" of the passages, the passages' own "vectors", or the name of a data set."""
    vectors: npt.NDArray[np.float32]
    """(q, d)."""
    rows: Ids | None = None
    """The passages that the vectors are of, (q,): a search that finds them has proved nothing."""
    note: str = ""
    """What the user should know of how they came about; empty if nothing."""


def questions_of(
    index: StoredIndex, texts: Sequence[str] = (), name: str = "", seed: int = 0, count: int = QUESTIONS
) -> Questions:
    """At most `count` of `texts`, questions of the data set `name`; without texts, a sentence each of so many
    passages, asked as if it were a question.

    Where the index's encoder cannot be loaded, vectors of passages serve in the sentences' place. Raises
    RagkitError where it cannot be and there are texts.
    """
    random = np.random.default_rng(seed)
    if texts:
        drawn = np.sort(random.permutation(len(texts))[:count])
        return Questions(name, index.encoder.encode_questions([texts[i] for i in drawn]))
    live = live_rows(index)
    rows = np.sort(random.choice(live, min(count, len(live) // 10), replace=False))
    try:
        encoder = index.encoder
    except RagkitError as error:
        note = f"vectors of passages serve as questions, as the encoder cannot be loaded ({error})"
        return Questions(VECTORS, index.passage_vectors()(rows), rows, note)
    sentences = [_sentence(passage.text, random) for passage in index.passages(rows)]
    return Questions(SENTENCES, encoder.encode_questions(sentences))


def live_rows(index: StoredIndex) -> Ids:
    """The rows of all passages that are there, ascending."""
    return np.unique([row for rows in index.rows_by_id().values() for row in rows]).astype(np.int64)


def _sentence(text: str, random: np.random.Generator) -> str:
    ends = list(sentence_ends(text))
    starts = [0, *ends[:-1]]
    sentences = [text[a:b].strip() for a, b in zip(starts, ends, strict=True)]
    sentences = [sentence for sentence in sentences if sentence] or [text]
    return sentences[int(random.integers(len(sentences)))]
