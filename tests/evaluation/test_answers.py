"""EM and F1 are those of the official SQuAD script, line for line."""

import collections
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.evaluation.answers import answer_in_text, exact_match, f1

# The official evaluation script of SQuAD 2.0 (evaluate-v2.0.py), its names kept.


def normalize_answer(s):  # type: ignore[no-untyped-def]
    def remove_articles(text):  # type: ignore[no-untyped-def]
        regex = re.compile(r"\b(a|an|the)\b", re.UNICODE)
        return re.sub(regex, " ", text)

    def white_space_fix(text):  # type: ignore[no-untyped-def]
        return " ".join(text.split())

    def remove_punc(text):  # type: ignore[no-untyped-def]
        exclude = set(string.punctuation)
        return "".join(ch for ch in text if ch not in exclude)

    def lower(text):  # type: ignore[no-untyped-def]
        return text.lower()

    return white_space_fix(remove_articles(remove_punc(lower(s))))


def compute_f1(a_gold, a_pred):  # type: ignore[no-untyped-def]
    gold_toks, pred_toks = normalize_answer(a_gold).split(), normalize_answer(a_pred).split()
    common = collections.Counter(gold_toks) & collections.Counter(pred_toks)
    num_same = sum(common.values())
    if len(gold_toks) == 0 or len(pred_toks) == 0:
        return int(gold_toks == pred_toks)
    if num_same == 0:
        return 0
    precision, recall = 1.0 * num_same / len(pred_toks), 1.0 * num_same / len(gold_toks)
    return (2 * precision * recall) / (precision + recall)


words = st.sampled_from(
    ["The", "an", "a", "Eiffel", "eiffel-tower", "(1889)", "1,889", "tower.", "—", "É", "  ", "\n"]
)
texts = st.lists(words | st.text(max_size=4), max_size=6).map(" ".join)


@given(answer=texts, golds=st.lists(texts, max_size=3))
def test_equals_the_official_script(answer: str, golds: list[str]) -> None:
    theirs = [gold for gold in golds if normalize_answer(gold)] or [""]
    ours = [gold for gold in golds if normalize_answer(gold)]
    assert exact_match(answer, ours) == max(
        int(normalize_answer(gold) == normalize_answer(answer)) for gold in theirs
    )
    assert f1(answer, ours) == max(compute_f1(gold, answer) for gold in theirs)


@pytest.mark.parametrize(
    ("answer", "golds", "em", "overlap"),
    [
        ("the Eiffel Tower!", ["Eiffel tower"], 1, 1),
        ("an  apple", ["a apple"], 1, 1),
        ("Theatre", ["atre"], 0, 0),
        ("red apple", ["green apple", "apple"], 0, 2 / 3),
        ("apple apple", ["apple"], 0, 2 / 3),
        ("", [], 1, 1),
        ("something", [], 0, 0),
        ("", ["apple"], 0, 0),
        ("The", [], 1, 1),
    ],
)
def test_by_hand(answer: str, golds: list[str], em: float, overlap: float) -> None:
    assert exact_match(answer, golds) == em
    assert f1(answer, golds) == pytest.approx(overlap)


@pytest.mark.parametrize(
    ("golds", "text", "inside"),
    [
        (["Eiffel Tower"], "It is the eiffel tower, of iron.", True),
        (["art"], "A party began.", False),
        (["party"], "A party", True),
        (["a party"], "party!", True),
        (["x", "iron"], "made\nof iron", True),
        ([], "anything", False),
        (["the"], "the text", False),
        (["1.5"], "15 and 1.5", True),
        (["c++ (lang)"], "the C++ lang of old", True),
    ],
)
def test_an_answer_stands_in_a_text_as_whole_words(golds: list[str], text: str, inside: bool) -> None:
    assert answer_in_text(golds, text) is inside
