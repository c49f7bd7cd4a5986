"""Questions as people type them: a share of the words misspelt, the same ones each time."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from random import Random

from ragkit.corpus.questions import QuestionSet
from ragkit.errors import RagkitError

_WORD = re.compile(r"\S+")
LEAST_LETTERS = 3
"""Shorter words stay: a letter less or another one makes them a different word, not a misspelt one."""

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def _neighbours() -> dict[str, str]:
    """Each letter's neighbours on a US keyboard, whose rows stand half a key further to the right each."""
    places = {letter: (row, at + row / 2) for row, keys in enumerate(_ROWS) for at, letter in enumerate(keys)}
    return {
        a: "".join(b for b, (y, x) in places.items() if b != a and abs(y - row) <= 1 and abs(x - at) <= 1)
        for a, (row, at) in places.items()
    }


NEIGHBOURS = _neighbours()


def with_typos(text: str, share: float, seed: int = 0) -> str:
    """The text with one typo in `share` of its words: letters swapped, one dropped, doubled, or its neighbour
    on the keyboard instead, each as likely as the others.

    Of n words share · n are hit, on average exactly that many: the rest decides the text's own random
    number, which follows from the seed and the text alone. Words of fewer than three letters, which are never
    hit, count among the n.

    Raises:
        RagkitError: if the share is not between 0 and 1.
    """
    if not 0 <= share <= 1:
        raise RagkitError(f"a share of {share} of the words: it must be between 0 and 1")
    digest = hashlib.sha256(f"{seed} {text}".encode("utf-8", "replace")).digest()
    random = Random(int.from_bytes(digest[:8])).random  # the one method whose numbers never change
    words = list(_WORD.finditer(text))
    long = [word for word in words if sum(map(_letter, word[0])) >= LEAST_LETTERS]
    hits = min(len(long), int(share * len(words) + random()))
    chosen = sorted(sorted(long, key=lambda word: random())[:hits], key=lambda word: word.start())
    parts, end = [], 0
    for word in chosen:
        parts += [text[end : word.start()], misspelt(word[0], random)]
        end = word.end()
    return "".join([*parts, text[end:]])


def misspelt(word: str, random: Callable[[], float]) -> str:
    """The word, which has a letter, with one typo: another string in any case."""
    kinds = (_swapped, _dropped, _doubled, _neighbour)
    while True:
        changed = kinds[int(random() * len(kinds))](word, random)
        if changed != word:
            return changed


def questions_with_typos(questions: QuestionSet, share: float, seed: int = 0) -> QuestionSet:
    """The same questions misspelt, under a name that says so."""
    changed = [replace(one, text=with_typos(one.text, share, seed)) for one in questions.questions]
    return replace(
        questions, name=f"{questions.name} with typos in {100 * share:g} % of the words", questions=changed
    )


def _letter(character: str) -> bool:
    return character.isalpha()


def _place(word: str, random: Callable[[], float]) -> int:
    places = [at for at, character in enumerate(word) if _letter(character)]
    return places[int(random() * len(places))]


def _swapped(word: str, random: Callable[[], float]) -> str:
    """With two letters that stand beside each other exchanged, where there are such."""
    at = _place(word, random)
    if at + 1 == len(word) or not _letter(word[at + 1]):
        return word
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def _dropped(word: str, random: Callable[[], float]) -> str:
    at = _place(word, random)
    return word[:at] + word[at + 1 :]


def _doubled(word: str, random: Callable[[], float]) -> str:
    at = _place(word, random)
    return word[: at + 1] + word[at:]


def _neighbour(word: str, random: Callable[[], float]) -> str:
    """With the next key's letter; letters of other scripts stay."""
    at = _place(word, random)
    keys = NEIGHBOURS.get(word[at].lower())
    if keys is None:
        return word
    key = keys[int(random() * len(keys))]
    return word[:at] + (key.upper() if word[at].isupper() else key) + word[at + 1 :]
