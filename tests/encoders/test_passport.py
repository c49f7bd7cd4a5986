import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.encoders.passport import Passport
from ragkit.errors import RagkitError

PASSPORT = Passport(
    name="one",
    dimension=2,
    similarity="cosine",
    weights="a" * 64,
    tokenizer="b" * 64,
    pooling="c" * 64,
    prompts={"question": "q: ", "passage": ""},
    canaries=((1.0, 0.0), (0.6, 0.8)),
)


def test_json_and_back() -> None:
    assert Passport.from_json(json.loads(json.dumps(PASSPORT.to_json()))) == PASSPORT


@pytest.mark.parametrize(
    "changed",
    [
        {"weights": "d" * 64},
        {"tokenizer": "d" * 64},
        {"pooling": "d" * 64},
        {"dimension": 3},
        {"similarity": "inner_product"},
        {"prompts": {"question": "", "passage": ""}},
    ],
)
def test_each_part_tells_encoders_apart_by_name(changed: dict[str, Any]) -> None:
    other = dataclasses.replace(PASSPORT, name="two", **changed)
    said = PASSPORT.disagreement(other)
    assert said and "'one'" in said and "'two'" in said and "\n" not in said
    assert PASSPORT.fingerprint != other.fingerprint


@given(st.floats(-0.005, 0.005))
def test_rounding_is_no_difference(noise: float) -> None:
    other = dataclasses.replace(PASSPORT, canaries=((1.0, noise), (0.6 - noise, 0.8)))
    assert PASSPORT.disagreement(other) is None


def test_other_vectors_are_a_difference() -> None:
    assert PASSPORT.disagreement(dataclasses.replace(PASSPORT, canaries=((1.0, 0.0), (0.8, 0.6))))
    assert PASSPORT.disagreement(dataclasses.replace(PASSPORT, canaries=((1.0, 0.0),)))


def test_another_question_tower_of_the_same_passages_serves_the_same_vectors() -> None:
    questions, passages = ((1.0, 0.0), (0.0, 1.0)), ((0.6, 0.8), (0.8, 0.6))
    start = dataclasses.replace(PASSPORT, canaries=questions + passages)
    tuned = dataclasses.replace(start, questions="e" * 64, canaries=questions[::-1] + passages)
    assert start.fingerprint == tuned.fingerprint
    assert start.disagreement(tuned) is None and tuned.disagreement(start) is None
    moved = dataclasses.replace(tuned, canaries=questions + passages[::-1])
    assert "relative distance" in (moved.disagreement(start) or "")
    # What changed nothing but the questions' vectors without saying so is another encoder.
    assert dataclasses.replace(tuned, questions="").disagreement(start)


def test_a_passport_from_before_question_towers_is_read() -> None:
    data = PASSPORT.to_json()
    del data["questions"]
    assert Passport.from_json(data) == PASSPORT


def test_the_name_is_not_the_identity() -> None:
    moved = dataclasses.replace(PASSPORT, name="moved")
    assert PASSPORT.disagreement(moved) is None and PASSPORT.fingerprint == moved.fingerprint


@pytest.mark.parametrize(
    "damage", [{"dimension": "many"}, {"canaries": 7}, {"prompts": None}, {"weights": ...}]
)
def test_a_damaged_passport_is_one_line(damage: dict[str, Any]) -> None:
    data = PASSPORT.to_json() | damage
    if data["weights"] is ...:
        del data["weights"]
    with pytest.raises(RagkitError, match="damaged"):
        Passport.from_json(data)
