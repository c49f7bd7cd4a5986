import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.corpus.document import Document, Passage
from ragkit.generation.evidence import Evidence, content_words, sentences
from ragkit.retrieval.index import Index
from tests.hashing_encoder import HashingEncoder

TEXT = (
    "The bridge was built in 1894.  It was painted green.\nPainters of 1894 used red; the bridge is red now."
)


def passage(text: str) -> Passage:
    return Passage("p", "d", text, 0, len(text))


def quoted(text: str, question: str = "", of: str = TEXT) -> tuple[str, float] | None:
    citation = Evidence().cite(text, passage(of), question)
    return citation and (of[citation.start : citation.end], citation.share)


def test_word_for_word_is_cited_exactly_in_any_case_and_space() -> None:
    assert quoted("built IN  1894") == ("built in 1894", 1.0)
    assert quoted("green. Painters") == ("green.\nPainters", 1.0)  # across two sentences
    assert quoted("a[i]", of="so a[i] += 1") == ("a[i]", 1.0)
    assert quoted("->", of="it is f->g") == ("->", 1.0)


def test_else_the_sentence_with_most_of_the_words() -> None:
    assert quoted("the painter's bridge") == ("Painters of 1894 used red; the bridge is red now.", 1.0)
    sentence, part = quoted("a blue bridge from 1894") or ("", 0.0)
    assert sentence == "The bridge was built in 1894." and part == pytest.approx(2 / 3)
    assert quoted("oranges") is None and quoted("") is None and quoted("oranges", of="") is None


def test_of_equal_places_the_one_about_the_question() -> None:
    places = [
        (citation.start, citation.about)
        for question in ("when was it built?", "what did painters use?")
        if (citation := Evidence().cite("1894", passage(TEXT), question))
    ]
    assert places == [(TEXT.index("1894"), 1.0), (TEXT.rindex("1894"), 1.0)]


def test_no_part_of_a_word_is_taken_for_it() -> None:
    assert quoted("car", of="the scars of a racecar") is None


def test_words_weigh_what_they_do_in_bm25(tmp_path: Path, hashing_encoder: HashingEncoder) -> None:
    texts = ["red cats", "red dogs", "red birds sing", "a red cat"]
    documents = [Document(str(i), text) for i, text in enumerate(texts)]
    index = Index.build(documents, tmp_path / "index", encoder=hashing_encoder)
    weights = Evidence(index).weights("Red cats, sings of unicorns")
    expected = {"red": 4, "cat": 2, "sing": 1, "unicorn": 0}
    assert weights == {
        word: pytest.approx(math.log(1 + (4 - n + 0.5) / (n + 0.5))) for word, n in expected.items()
    }
    dense = Index.build(documents, tmp_path / "dense", encoder=hashing_encoder, lexical=False)
    assert set(Evidence(dense).weights("red cats").values()) == {1.0}


def test_stop_words_count_where_there_is_nothing_else() -> None:
    assert content_words("The who and the WHO") == ["the", "who", "and"]
    assert content_words("The cat and the who") == ["cat"]


@given(st.text(alphabet="ab. \n?A!1", max_size=60))
def test_sentences_are_exact_slices_that_leave_no_word_out(text: str) -> None:
    found = sentences(text)
    assert all(text[start:end].strip() == text[start:end] != "" for start, end, _ in found)
    assert "".join("".join(text[s:e].split()) for s, e, _ in found) == "".join(text.split())
