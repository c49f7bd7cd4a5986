"""The views of a passage are what the papers say, and batches never show a passage as its own negative."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.corpus.document import Passage
from ragkit.corpus.splitting import WORD
from ragkit.errors import RagkitError
from ragkit.training.adaptation.lessons import ViewLessons
from ragkit.training.adaptation.passages import overlapping
from ragkit.training.adaptation.views import (
    Method,
    damaged,
    independent_crops,
    inverse_cloze,
    views,
    without_words,
)
from ragkit.training.pretraining.mlm_data import sentences
from ragkit.training.retrieval.plan import DualEncoderSettings

METHODS: list[Method] = ["ict", "crop", "simcse", "tsdae"]
TEXT = (
    "The first fox ran over the hill. A second one stayed in its den! Was there a third one at all? "
    "Nobody in the village ever saw it."
)
passages_text = st.lists(
    st.lists(st.sampled_from("fox hill den ran over 狐狸 a the".split()), min_size=1, max_size=12),
    min_size=1,
    max_size=6,
).map(lambda parts: " ".join(" ".join(words).capitalize() + "." for words in parts))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def words_of(text: str) -> list[str]:
    return WORD.findall(text)


# Inverse cloze


def test_ict_takes_the_sentence_out_and_nothing_else() -> None:
    for seed in range(30):
        found = inverse_cloze("Foxes", TEXT, rng(seed), kept=0.0)
        assert found is not None
        sentence, passage = found
        rest = [part for part in sentences(TEXT) if part != sentence]
        assert len(rest) == 3 and passage == "Foxes " + " ".join(rest)


def test_ict_keeps_the_sentence_in_a_tenth_of_the_examples() -> None:
    """Lee et al. 2019: removed in 90 %. 2,000 draws: 5 standard deviations are .034."""
    pairs = [inverse_cloze("", TEXT, rng(seed)) for seed in range(2000)]
    kept = np.mean([pair is not None and pair[0] in pair[1] for pair in pairs])
    assert abs(kept - 0.1) < 0.034
    assert {pair[1] for pair in pairs if pair and pair[0] in pair[1]} == {TEXT}
    assert {pair[0] for pair in pairs if pair} == set(sentences(TEXT))


def test_ict_needs_a_sentence_and_something_around_it() -> None:
    assert inverse_cloze("t", "Just one sentence in this text.", rng()) is None
    assert inverse_cloze("t", "Yes. No. Why? So.", rng()) is None


# Crops


@settings(max_examples=100, deadline=None)
@given(passages_text, st.integers(0, 99))
def test_crops_lie_inside_the_passage(text: str, seed: int) -> None:
    found = independent_crops("title", text, rng(seed), deleted=0.0)
    if found is None:
        assert len(words_of(text)) < 2
        return
    for crop in found:
        assert crop in text
        assert 1 <= len(words_of(crop)) <= max(1, round(len(words_of(text)) / 2))


def test_crops_are_of_all_lengths_from_everywhere_and_independent() -> None:
    text = " ".join(f"w{i}" for i in range(200))
    drawn = [independent_crops("", text, rng(seed), deleted=0.0) for seed in range(500)]
    pairs = [[words_of(crop) for crop in pair] for pair in drawn if pair]
    lengths = np.array([[len(crop) for crop in pair] for pair in pairs])
    assert lengths.min() >= 10 and lengths.max() <= 100
    assert abs(lengths.mean() - 0.275 * 200) < 5
    assert abs(np.corrcoef(lengths.T)[0, 1]) < 0.2
    seen = {word for pair in pairs for crop in pair for word in crop}
    assert seen == set(words_of(text))


def test_a_tenth_of_a_crops_words_is_deleted() -> None:
    text = " ".join(f"w{i}" for i in range(400))
    gaps = kept = 0
    for seed in range(100):
        for crop in independent_crops("", text, rng(seed)) or ():
            numbers = [int(word[1:]) for word in words_of(crop)]
            assert numbers == sorted(numbers)
            kept += len(numbers)
            gaps += numbers[-1] - numbers[0] + 1 - len(numbers)
    assert abs(gaps / (gaps + kept) - 0.1) < 0.02


# Denoising


def test_tsdae_deletes_three_fifths_of_a_sentences_words() -> None:
    text = " ".join(["Alpha", *(f"w{i}" for i in range(49))]) + "."
    shares = []
    for seed in range(300):
        found = damaged("title", text, rng(seed))
        assert found is not None and found[1] == text
        left, whole = words_of(found[0]), words_of(text)
        at = [whole.index(word) for word in left]
        assert at == sorted(at) and left
        shares.append(1 - len(left) / len(whole))
    assert abs(np.mean(shares) - 0.6) < 0.02


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["a ", "bc ", "狐", "d\n"]), min_size=1, max_size=8), st.integers(0, 20))
def test_a_word_is_left_whatever_is_deleted(words: list[str], seed: int) -> None:
    left = without_words(words, 1.0, rng(seed))
    assert left in {word.rstrip() for word in words}
    assert without_words(words, 0.0, rng(seed)) == "".join(words).rstrip()


# All methods


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(METHODS), passages_text, st.integers(0, 9), st.integers(0, 9))
def test_views_hang_on_the_seed_alone(method: Method, text: str, seed: int, other: int) -> None:
    assert views(method, "t", text, rng(seed)) == views(method, "t", text, rng(seed))
    # Whether there are any does not hang on what is drawn.
    assert (views(method, "t", text, rng(seed)) is None) == (views(method, "t", text, rng(other)) is None)


def test_simcse_repeats_what_is_encoded_and_a_frozen_passage_stays_whole() -> None:
    assert views("simcse", "Foxes", TEXT, rng()) == (f"Foxes {TEXT}", f"Foxes {TEXT}")
    for method in ("ict", "crop"):
        found = views(method, "Foxes", TEXT, rng(), whole=True)
        assert found is not None and found[1] == f"Foxes {TEXT}"


# Lessons


def passage(document: str, start: int, end: int, text: str | None = None) -> Passage:
    content = text or f"{document} has {start} words. It goes on to {end} of them."
    return Passage(f"{document}#{start}-{end}", document, content, start, end)


def lesson(method: Method, passages: list[Passage], **changed: int) -> ViewLessons:
    given_settings = {"batch": 4, "max_steps": 20, "epochs": 100, "held_out": 0} | changed
    return ViewLessons(passages, method, DualEncoderSettings(**given_settings), whole=False)  # type: ignore[arg-type]


def test_overlapping_are_neighbours_and_equals() -> None:
    many = [
        passage("a", 0, 10), passage("a", 8, 20), passage("a", 20, 30), passage("b", 0, 10),
        passage("c", 0, 5, "same text"), passage("d", 3, 9, "same text"),
    ]  # fmt: skip
    assert overlapping(many) == [{0, 1}, {0, 1}, {2}, {3}, {4, 5}, {4, 5}]


def test_no_passage_of_a_batch_overlaps_another() -> None:
    """Windows of three documents, each overlapping the next one: what they share is no negative."""
    many = [passage(name, at, at + 15) for name in "abc" for at in range(0, 100, 10)]
    of = {each.text: at for at, each in enumerate(many)}
    together = overlapping(many)
    lessons = lesson("simcse", many)
    for number in range(lessons.total):
        batch = [of[row["passage"]] for row in lessons.rows(number)]
        assert 2 <= len(batch) <= 4
        assert all(together[at] & set(batch) == {at} for at in batch)


def test_steps_are_bounded_and_draws_change_from_epoch_to_epoch() -> None:
    many = [passage(f"d{i}", 0, 9) for i in range(16)]
    assert lesson("ict", many, epochs=3).total == 12
    lessons = lesson("crop", many)
    assert lessons.total == 20 and lessons.per_epoch == 4 and len(lessons) == 16
    drawn = [lessons.rows(number) for number in range(20)]
    assert drawn == [lesson("crop", many).rows(n) if n < 4 else drawn[n] for n in range(20)]
    assert lesson("crop", many, seed=1).rows(0) != drawn[0]
    assert len({str(row) for rows in drawn for row in rows}) > 60
    assert lessons.fingerprint == lesson("crop", many).fingerprint
    others = [lesson("ict", many), lesson("crop", many[1:]), lesson("crop", many, seed=1)]
    assert len({lessons.fingerprint} | {other.fingerprint for other in others}) == 4


def test_too_little_text_is_one_line() -> None:
    with pytest.raises(RagkitError, match="0 are long enough for ict"):
        lesson("ict", [passage(f"d{i}", 0, 9, f"One sentence {i}") for i in range(5)])
    with pytest.raises(RagkitError, match="do not overlap"):
        lesson("crop", [passage("a", 0, 9), passage("a", 5, 14)])
