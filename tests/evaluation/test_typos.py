"""Typos: as many as asked for, of the four kinds, and the same ones each time."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.corpus.questions import Question, QuestionSet
from ragkit.errors import RagkitError
from ragkit.evaluation.typos import NEIGHBOURS, misspelt, questions_with_typos, with_typos

TEXT = "Which instrument measures the pressure of the air above Nottingham today?"


def kind(word: str, changed: str) -> str:
    """What was done to the word."""
    for at in range(len(word)):
        if changed == word[:at] + word[at + 1 :]:
            return "dropped"
        if changed == word[: at + 1] + word[at:]:
            return "doubled"
        if changed == word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :]:
            return "swapped"
        if len(changed) == len(word) and changed == word[:at] + changed[at] + word[at + 1 :]:
            assert changed[at].lower() in NEIGHBOURS[word[at].lower()]
            assert changed[at].isupper() == word[at].isupper()
            return "neighbour"
    raise AssertionError(f"{word!r} became {changed!r}")


def test_the_four_kinds_are_as_frequent_as_each_other() -> None:
    random = Random(0).random
    counts = Counter(kind("Nothingam", misspelt("Nothingam", random)) for _ in range(4000))
    assert len(counts) == 4 and all(850 < count < 1150 for count in counts.values())


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5])
def test_the_share_of_words_is_met_on_average(share: float) -> None:
    hit = []
    for seed in range(400):
        words = with_typos(TEXT, share, seed).split()
        assert len(words) == 11
        hit.append(sum(a != b for a, b in zip(words, TEXT.split(), strict=True)))
    assert sum(hit) / 400 == pytest.approx(11 * share, abs=0.1)
    assert max(hit) - min(hit) <= 1


def test_short_words_stay_and_all_others_can_be_hit() -> None:
    words = with_typos("to be or not 42 to, x-y be", 1.0).split(" ")
    assert [w for w in words if w not in ("to", "be", "or", "42", "to,", "x-y")] == [
        w for w in words if w not in "to be or 42 to, x-y be".split()
    ]
    assert "not" not in words and len(words) == 8


def test_it_is_the_same_each_time_and_on_every_machine() -> None:
    assert with_typos(TEXT, 0.2) == with_typos(TEXT, 0.2)
    assert len({with_typos(TEXT, 0.2, seed) for seed in range(20)}) > 10
    assert with_typos(TEXT, 0.2) == "Which instrument measures the pressure of the ir anove Nottingham today?"


@given(st.text(max_size=60), st.floats(0, 1))
def test_any_text_is_taken(text: str, share: float) -> None:
    changed = with_typos(text, share)
    assert [part for part in changed if part.isspace()] == [part for part in text if part.isspace()]
    assert with_typos(text, 0) == text


def test_neighbours_are_mutual_and_near() -> None:
    assert set(NEIGHBOURS) == set("abcdefghijklmnopqrstuvwxyz")
    assert all(a in NEIGHBOURS[b] for a, keys in NEIGHBOURS.items() for b in keys)
    assert set(NEIGHBOURS["g"]) == set("ftyhvb") and set(NEIGHBOURS["q"]) == set("wa")


def test_a_set_keeps_all_but_the_texts() -> None:
    original = QuestionSet("squad", "dev", [Question("q", TEXT, answers=["barometer"], relevant={"p": 1})])
    changed = questions_with_typos(original, 0.2)
    assert changed.name == "squad with typos in 20 % of the words" and changed.split == "dev"
    [question] = changed.questions
    assert question.text == with_typos(TEXT, 0.2) != TEXT
    assert (question.id, question.answers, question.relevant) == ("q", ["barometer"], {"p": 1})
    assert original.questions[0].text == TEXT


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_what_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(RagkitError, match="between 0 and 1"):
        with_typos(TEXT, share)
