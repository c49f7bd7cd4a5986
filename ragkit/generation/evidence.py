"""Where passages say what a text says: the words that they share, the rarer the weightier.

A word weighs its inverse document frequency in the index, log(1 + (n - df + 1/2) / (df + 1/2)), as in BM25;
words are compared by their stems, and those that every English text is full of do not count.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ragkit.corpus.document import Passage
from ragkit.corpus.splitting import sentence_ends

if TYPE_CHECKING:
    from ragkit.retrieval.index import Index

WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Citation:
    """The stretch of a passage that says what a text says.

    Attributes:
        start, end: in characters of `passage.text`.
        share: of the text's words, weighed by how rare they are, that stand there; in (0, 1].
        about: the same share of the question's words in the sentence around it.
    """

    passage: Passage
    start: int
    end: int
    share: float
    about: float


class Evidence:
    """Finds the stretches of passages that a text can be traced to.

    Args:
        index: whose document frequencies weigh the words; without one, or where it has no lexical part, all
            words weigh the same.
    """

    def __init__(self, index: "Index | None" = None) -> None:
        self.index = index if index is not None and index.manifest.lexical else None
        self._known: dict[str, float] = {}

    def weights(self, text: str) -> dict[str, float]:
        """The text's words, as stems, and what each weighs."""
        words = content_words(text)
        new = [word for word in words if word not in self._known]
        if new and self.index is None:
            self._known.update(dict.fromkeys(new, 1.0))
        elif new and self.index is not None:
            n = len(self.index)
            for word, df in zip(new, self.index.document_frequencies(new), strict=True):
                self._known[word] = math.log1p((max(n - df, 0) + 0.5) / (df + 0.5))
        return {stem: self._known[word] for word, stem in zip(words, stems(words), strict=True)}

    def cite(self, text: str, passage: Passage, question: str = "") -> Citation | None:
        """The place of the passage that bears the text out best; None if it shares no word with it.

        That is where the text stands word for word, or else the sentence with the largest share of its words.
        Of several, the one whose sentence speaks most of the question.
        """
        wanted, asked = self.weights(text), self.weights(question)
        verbatim = [match.span() for match in _verbatim(text).finditer(passage.text)] if text.strip() else []
        found: list[Citation] = []
        for start, end, words in sentences(passage.text):
            about = share(asked, words)
            inside = [span for span in verbatim if start <= span[0] < end]
            found += [Citation(passage, *span, 1.0, about) for span in inside]
            if not verbatim and (of_text := share(wanted, words)) > 0:
                found.append(Citation(passage, start, end, of_text, about))
        return max(found, key=lambda citation: (citation.share, citation.about), default=None)


def share(wanted: dict[str, float], present: frozenset[str]) -> float:
    """How much of the weight of the wanted words is present, in [0, 1]; 0 where none is wanted."""
    total = sum(wanted.values())
    return sum(weight for word, weight in wanted.items() if word in present) / total if total else 0.0


def content_words(text: str) -> list[str]:
    """In order, each once, in lower case; without stop words unless there is nothing else."""
    from bm25s.stopwords import STOPWORDS_EN_PLUS

    words = list(dict.fromkeys(WORD.findall(text.lower())))
    return [word for word in words if word not in STOPWORDS_EN_PLUS] or words


def stems(words: Sequence[str]) -> list[str]:
    import Stemmer

    return list(Stemmer.Stemmer("english").stemWords(list(words)))


@lru_cache(maxsize=4096)
def sentences(text: str) -> tuple[tuple[int, int, frozenset[str]], ...]:
    """Each sentence's first and last character (exclusive), white space around it left out, and its stems."""
    found, start = [], 0
    for end in [*sentence_ends(text), len(text)]:
        sentence = text[start:end]
        if sentence.strip():
            first = start + len(sentence) - len(sentence.lstrip())
            words = WORD.findall(sentence.lower())
            found.append((first, first + len(sentence.strip()), frozenset(stems(words))))
        start = end
    return tuple(found)


def _verbatim(text: str) -> re.Pattern[str]:
    """The text as whole words, in any case and white space."""
    text = text.strip()
    before = r"(?<!\w)" if re.match(r"\w", text) else ""
    after = r"(?!\w)" if re.search(r"\w$", text) else ""
    return re.compile(before + r"\s+".join(map(re.escape, text.split())) + after, re.IGNORECASE)
