"""Sentences and words of running text."""

from hypothesis import given
from hypothesis import strategies as st

from ragkit.corpus.words import sentence_words, sentences


def test_sentences_end_where_a_new_one_begins() -> None:
    text = 'Mr. Fox ran. "Why?" he asked (twice). It cost 3.5 pounds.\nA new line'
    assert sentences(text) == [
        "Mr.",
        "Fox ran.",
        '"Why?" he asked (twice).',
        "It cost 3.5 pounds.",
        "A new line",
    ]


def test_words_keep_apostrophes_and_case_and_signs_stand_alone() -> None:
    assert sentence_words("Don't stop! I can’t, O'Neil (x_1).\nÜber 3.5 <S>") == [
        ["Don't", "stop", "!"],
        ["I", "can’t", ",", "O'Neil", "(", "x_1", ")", "."],
        ["Über", "3", ".", "5", "<", "S", ">"],
    ]


@given(st.text(max_size=80))
def test_no_letter_is_lost(text: str) -> None:
    kept = "".join(word for sentence in sentence_words(text) for word in sentence)
    assert sorted(c for c in kept if c.isalnum()) == sorted(c for c in text if c.isalnum())
