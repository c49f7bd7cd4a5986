"""Two views of one passage that belong together: what a retriever can learn from texts without questions.

- `ict`, the inverse cloze task (Lee et al. 2019, section 4): a sentence asks for the passage around it. In
  90 % of the examples the sentence is taken out of the passage, in the others it stays, so that the same
  words in both still count.
- `crop`, independent cropping (Izacard et al. 2022, section 3.1): two stretches of the passage, each of 5 to
  50 % of its words, drawn independently, a tenth of their words deleted.
- `deletion`: the whole passage twice, each time without a fifth of its words, drawn independently.
- `simcse` (Gao et al. 2021): the passage twice; dropout makes the two vectors differ.
- `tsdae` (Wang et al. 2021): a sentence without 60 % of its words; a decoder restores the sentence from the
  vector alone.

Texts are cut where the index cuts them: at words, of which each Han or kana character is one.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np

from ragkit.corpus.splitting import WORD
from ragkit.encoders.sentence import passage_text
from ragkit.training.pretraining.mlm_data import sentences

Method = Literal["ict", "crop", "deletion", "simcse", "tsdae"]
Views = tuple[str, str]

ICT_KEPT = 0.1
"""Share of ICT's examples whose sentence stays in the passage."""
CROP_SHARES = (0.05, 0.5)
CROP_DELETED = 0.1
DELETED = 0.2
TSDAE_DELETED = 0.6
SENTENCE_WORDS = 4
"""Fewer words than that say too little to ask for a passage."""


def views(
    method: Method, title: str, text: str, rng: np.random.Generator, whole: bool = False
) -> Views | None:
    """The two views of a passage, as the encoder is to read them: for `ict` and `crop` question and passage.

    None where the text is too short to give any. `whole` leaves the passage as the index holds it: for a
    passage tower that stays as it is, whose vectors are of whole passages.
    """
    pair = _VIEWS[method](title, text, rng)
    return (pair[0], passage_text(title, text)) if pair and whole else pair


def inverse_cloze(title: str, text: str, rng: np.random.Generator, kept: float = ICT_KEPT) -> Views | None:
    """A sentence, and the passage, from which it is taken out with probability 1 - `kept`.

    None where the passage is a single sentence, or none has `SENTENCE_WORDS` words.
    """
    parts = sentences(text)
    long = [at for at, part in enumerate(parts) if len(WORD.findall(part)) >= SENTENCE_WORDS]
    if len(parts) < 2 or not long:
        return None
    at = long[int(rng.integers(len(long)))]
    stays = rng.random() < kept
    rest = text if stays else " ".join(parts[:at] + parts[at + 1 :])
    return parts[at], passage_text(title, rest)


def independent_crops(
    title: str, text: str, rng: np.random.Generator, deleted: float = CROP_DELETED
) -> Views | None:
    """Two stretches of the text; None where it has fewer than two words."""
    words = _words(text)
    if len(words) < 2:
        return None

    def one() -> str:
        share = rng.uniform(*CROP_SHARES)
        length = max(1, round(share * len(words)))
        first = int(rng.integers(len(words) - length + 1))
        return without_words(words[first : first + length], deleted, rng)

    return one(), one()


def thinned(title: str, text: str, rng: np.random.Generator, deleted: float = DELETED) -> Views | None:
    """The passage twice, without some of its words; None where it has fewer than two."""
    words = _words(passage_text(title, text))
    if len(words) < 2:
        return None
    return without_words(words, deleted, rng), without_words(words, deleted, rng)


def repeated(title: str, text: str, rng: np.random.Generator) -> Views | None:
    """The passage twice."""
    whole = passage_text(title, text)
    return (whole, whole) if whole else None


def damaged(title: str, text: str, rng: np.random.Generator, deleted: float = TSDAE_DELETED) -> Views | None:
    """A sentence of the text without some of its words, and the sentence; None where the text has no word."""
    parts = [part for part in sentences(text) if len(WORD.findall(part)) >= SENTENCE_WORDS]
    chosen = parts[int(rng.integers(len(parts)))] if parts else text.strip()
    words = _words(chosen)
    return (without_words(words, deleted, rng), chosen) if words else None


def without_words(words: list[str], share: float, rng: np.random.Generator) -> str:
    """The text of the words, each left out with that probability; one stays in any case."""
    kept = rng.random(len(words)) >= share
    kept[int(rng.integers(len(words)))] |= not kept.any()
    return "".join(word for word, stays in zip(words, kept, strict=True) if stays).rstrip()


def _words(text: str) -> list[str]:
    """Each word with the white space after it."""
    starts = [match.start() for match in WORD.finditer(text)]
    return [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]


_VIEWS: dict[Method, Callable[[str, str, np.random.Generator], Views | None]] = {
    "ict": inverse_cloze,
    "crop": independent_crops,
    "deletion": thinned,
    "simcse": repeated,
    "tsdae": damaged,
}
