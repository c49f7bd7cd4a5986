import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.corpus.document import Document, Passage
from ragkit.corpus.splitting import WORD, Splitting, split
from ragkit.errors import RagkitError


class PieceTokenizer:
    """Stands in for a fast tokenizer: three characters at most, with the space before a word."""

    is_fast = True

    def __call__(self, text: str, **_: Any) -> dict[str, list[tuple[int, int]]]:
        return {"offset_mapping": [match.span() for match in re.finditer(r"\s?\S{1,3}", text)]}


PIECES = ["a", "Bc", "d.", "É!", "e\u0301", "word", "f?", "http://x.y", "東京", "は。", "\u00a0", "😀"]
alphabet = st.sampled_from(PIECES)
space = st.sampled_from([" ", "  ", "\n", "\r\n\r\n", "\t"])
texts = st.lists(st.tuples(alphabet, st.just("") | space), max_size=80).map(
    lambda parts: "".join(piece + gap for piece, gap in parts)
)
splittings = st.tuples(
    st.sampled_from(["words", "sentences", "tokens"]), st.integers(1, 12), st.integers(0, 11)
).map(lambda drawn: Splitting(drawn[0], drawn[1], min(drawn[2], drawn[1] - 1)))  # type: ignore[arg-type]


def cut(text: str, splitting: Splitting) -> list[Passage]:
    return split(Document("d", text), splitting, PieceTokenizer())


def tokens_in(text: str, start: int, end: int) -> int:
    offsets = PieceTokenizer()(text)["offset_mapping"]
    return sum(1 for _, token_end in offsets if start < token_end <= end)


@settings(max_examples=150, deadline=None)
@given(texts, splittings)
def test_passages_are_exact_slices_that_cover_the_text_between_words(text: str, splitting: Splitting) -> None:
    passages = cut(text, splitting)
    starts = {match.start() for match in WORD.finditer(text)}
    ends = {match.end() for match in WORD.finditer(text)}
    for passage in passages:
        assert passage.text == text[passage.start : passage.end] == passage.text.strip() != ""
        assert passage.start in starts and passage.end in ends
    covered = {at for passage in passages for at in range(passage.start, passage.end)}
    assert all(at in covered for at, character in enumerate(text) if not character.isspace())
    assert len({passage.id for passage in passages}) == len(passages)
    pairs = pairwise(passages)
    assert all(left.start < right.start and left.end < right.end for left, right in pairs)


@settings(max_examples=150, deadline=None)
@given(texts, splittings)
def test_no_passage_is_larger_than_asked_unless_one_word_is(text: str, splitting: Splitting) -> None:
    for passage in cut(text, splitting):
        words = len(WORD.findall(passage.text))
        size = words if splitting.unit != "tokens" else tokens_in(text, passage.start, passage.end)
        assert size <= splitting.size or words == 1


@pytest.mark.row(101)
@settings(max_examples=150, deadline=None)
@given(texts, splittings, st.data())
def test_an_answer_no_longer_than_the_overlap_is_never_cut(
    text: str, splitting: Splitting, data: st.DataObject
) -> None:
    words = [match.span() for match in WORD.finditer(text)]
    if not words or not splitting.overlap:
        return
    first = data.draw(st.integers(0, len(words) - 1))
    last = first
    limit = splitting.overlap

    def length(end: int) -> int:
        if splitting.unit != "tokens":
            return end - first + 1
        return sum(max(1, tokens_in(text, *word)) for word in words[first : end + 1])

    while last + 1 < len(words) and length(last + 1) <= limit:
        last += 1
    if length(last) > limit:
        return
    assert any(
        passage.start <= words[first][0] and words[last][1] <= passage.end for passage in cut(text, splitting)
    )


def test_windows_of_words() -> None:
    passages = cut(" ".join(map(str, range(10))), Splitting("words", 4, 1))
    assert [passage.text for passage in passages] == ["0 1 2 3", "3 4 5 6", "6 7 8 9"]
    assert passages[1].id == f"d#{passages[1].start}-{passages[1].end}"


def test_sentences_stay_whole_where_they_fit() -> None:
    text = "Dr. Smith went home. He slept. It was late, e.g. 3.5 hours past ten. Nobody saw him. He left."
    passages = cut(text, Splitting("sentences", 18, 2))
    assert [passage.text for passage in passages] == [
        "Dr. Smith went home. He slept. It was late, e.g. 3.5 hours past ten. Nobody saw him.",
        "Nobody saw him. He left.",
    ]


def test_sentences_run_over_lines_and_end_with_paragraphs() -> None:
    text = "One sentence\nover two lines. A heading\n\nAnother one is here."
    passages = cut(text, Splitting("sentences", 10, 0))
    assert [passage.text for passage in passages] == [
        "One sentence\nover two lines. A heading",
        "Another one is here.",
    ]


def test_chinese_and_japanese_are_cut_though_they_have_no_spaces() -> None:
    passages = cut("東京は日本の首都です。" * 100, Splitting("words", 150, 30))
    assert len(passages) > 5
    assert max(len(passage.text) for passage in passages) <= 2 * 150


def test_a_combining_mark_stays_with_its_letter() -> None:
    passages = cut("か\u3099き\u3099 e\u0301te\u0301", Splitting("words", 1, 0))
    assert [passage.text for passage in passages] == ["か\u3099", "き\u3099", "e\u0301te\u0301"]


def test_records_stay_whole_and_documents_do_not_where_nobody_says_how() -> None:
    text = "  " + "word " * 400
    [record] = split(Document("r", text, "Title", {"lang": "en"}, splittable=False))
    assert (record.id, record.document_id, record.text) == ("r", "r", text.strip())
    assert (record.start, record.end) == (2, len(text) - 1)
    assert (record.title, record.metadata) == ("Title", {"lang": "en"})
    parts = split(Document("f", text, "Title"))
    assert [len(part.text.split()) for part in parts] == [150, 150, 150, 40]
    assert {part.title for part in parts} == {"Title"}


@pytest.mark.parametrize("unit", ["words", "sentences", "tokens", "none"])
def test_a_document_without_text_has_no_passage(unit: Any) -> None:
    assert cut("", Splitting(unit)) == cut(" \n\u00a0", Splitting(unit)) == []


@pytest.mark.parametrize(
    ("unit", "size", "overlap"), [("words", 10, 10), ("words", 0, 0), ("words", 5, -1), ("pages", 5, 1)]
)
def test_impossible_splittings_are_refused(unit: Any, size: int, overlap: int) -> None:
    with pytest.raises(RagkitError):
        Splitting(unit, size, overlap)


def test_tokens_need_a_fast_tokenizer() -> None:
    with pytest.raises(RagkitError, match="fast tokenizer"):
        split(Document("d", "text"), Splitting("tokens"), None)
