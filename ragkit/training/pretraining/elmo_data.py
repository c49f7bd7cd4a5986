"""Text for a bidirectional language model: words numbered by frequency, rows of sentences, streams."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ragkit.corpus.words import sentence_words
from ragkit.errors import RagkitError
from ragkit.models.sequence.characters import BEGIN_SENTENCE, END_SENTENCE, word_characters
from ragkit.models.sequence.elmo import UNKNOWN
from ragkit.training.pretraining.mlm_data import Ids, Text, hold_out

BEGIN, END, UNKNOWN_NUMBER = 0, 1, 2
LEAST_WORDS = 10
"""A vocabulary below it is no text to learn from."""


@dataclass(frozen=True, slots=True)
class WordCorpus:
    """Documents as sentences of word numbers, `<S>` and `</S>` at their ends.

    Words are numbered from the training part's most frequent one; the first of them are the `vocabulary` that
    is predicted, those after it count as `<UNK>` there but keep their own characters.
    """

    vocabulary: list[str]
    characters: Tensor
    """(words, characters) ids of every word that occurs, int16."""
    train: list[Text]
    held: list[Text]

    def predicted(self, ids: Tensor) -> Tensor:
        """The numbers in the vocabulary of words of any number."""
        return ids.masked_fill(ids >= len(self.vocabulary), UNKNOWN_NUMBER)

    def unigram(self) -> float:
        """Nats a word of the held-out part under the training part's frequencies, one added to each.

        Sentences count with one end, which is all that each direction predicts.
        """
        counts, truth = (self._counts(part) for part in (self.train, self.held))
        probabilities = (counts + 1) / (counts + 1).sum()
        return float(-(truth * np.log(probabilities)).sum() / truth.sum())

    def _counts(self, texts: Sequence[Text]) -> NDArray[np.float64]:
        """(vocabulary without `<S>`,) occurrences."""
        ids = torch.from_numpy(np.concatenate([s for text in texts for s in text]))
        found = np.bincount(self.predicted(ids).numpy(), minlength=len(self.vocabulary))
        return found[1:].astype(np.float64)


def word_corpus(
    texts: Iterable[str], vocabulary: int, row_words: int, word_length: int, held_out: int, seed: int
) -> WordCorpus:
    """Reads the texts, holds a part out, and numbers the words.

    Args:
        vocabulary: most words to predict, the three marks included.
        row_words: a sentence that with its ends is longer is cut into several.
        held_out: words to hold out, at most a tenth of all.

    Raises:
        RagkitError: if there is no text, too few different words, or too little to hold any out.
    """
    numbers = {BEGIN_SENTENCE: BEGIN, END_SENTENCE: END}
    documents = [ids for text in texts if (ids := numbered(text, numbers, row_words - 2))]
    if not documents:
        raise RagkitError("no words to learn from: the sources are empty")
    train, held = hold_out(documents, held_out, seed)
    if not held:
        raise RagkitError("the corpus is too small: no sentence could be held out to validate on")
    counts = np.bincount(np.concatenate([s for text in train for s in text]), minlength=len(numbers))
    order = 2 + np.argsort(-counts[2:], kind="stable")
    known = int((counts[order] > 0).sum())
    if known < LEAST_WORDS:
        raise RagkitError(f"the corpus has {known} different words: at least {LEAST_WORDS} are needed")
    kept = order[: min(known, vocabulary - 3)]
    words = list(numbers)
    renumbered = np.zeros(len(words), dtype=np.int32)
    renumbered[END] = END
    renumbered[order] = np.arange(len(order)) + 3  # 2 is <UNK>, which is no word of the text
    table = [BEGIN_SENTENCE, END_SENTENCE, UNKNOWN, *(words[at] for at in order)]
    return WordCorpus(
        vocabulary=[BEGIN_SENTENCE, END_SENTENCE, UNKNOWN, *(words[at] for at in kept)],
        characters=torch.tensor([word_characters(word, word_length) for word in table], dtype=torch.int16),
        train=[[renumbered[s] for s in text] for text in train],
        held=[[renumbered[s] for s in text] for text in held],
    )


@dataclass(frozen=True, slots=True)
class Row:
    """Whole sentences of one document that follow each other; `first`: the document begins here."""

    ids: Ids
    first: bool


def rows(text: Text, most: int) -> list[Row]:
    """A document's sentences in order, as many to a row as `most` words hold."""
    groups: list[list[Ids]] = []
    size = most + 1
    for sentence in text:
        if size + len(sentence) > most:
            groups.append([])
            size = 0
        groups[-1].append(sentence)
        size += len(sentence)
    return [Row(np.concatenate(group), at == 0) for at, group in enumerate(groups)]


def streams(texts: Sequence[Text], most: int, count: int) -> list[list[Row]]:
    """Batches of `count` rows: each row goes on where the same row of the batch before ended.

    The documents, end to end, are cut into `count` stretches of equal length; where a stretch ends one row
    early, an empty row stands in the last batch.
    """
    every = [row for text in texts for row in rows(text, most)]
    steps = -(-len(every) // count)
    bounds = [at * len(every) // count for at in range(count + 1)]
    nothing = Row(np.empty(0, dtype=np.int32), True)
    parts = [every[a:b] + [nothing] * (steps - (b - a)) for a, b in pairwise(bounds)]
    return [list(batch) for batch in zip(*parts, strict=True)]


def collate(batch: Sequence[Row]) -> tuple[Tensor, Tensor]:
    """Word numbers (rows, words), `<S>` past a row's end, and the rows' lengths."""
    lengths = torch.tensor([len(row.ids) for row in batch])
    ids = torch.full((len(batch), int(lengths.max())), BEGIN)
    for at, row in enumerate(batch):
        ids[at, : len(row.ids)] = torch.from_numpy(row.ids)
    return ids, lengths


def numbered(text: str, numbers: dict[str, int], most: int) -> Text:
    """A document's sentences, the ones above `most` words cut; new words take the next numbers."""
    found = []
    for words in sentence_words(text):
        ids = [numbers.setdefault(word, len(numbers)) for word in words]
        for begin in range(0, len(ids), most):
            found.append(np.array([BEGIN, *ids[begin : begin + most], END], dtype=np.int32))
    return found
