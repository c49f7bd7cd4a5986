"""`ragkit check`, `ragkit train RECIPE` and `ragkit list recipes`."""

from pathlib import Path

import pytest
from command_line import Command

from ragkit.chapters.chapter import Chapter
from ragkit.chapters.check import Check, MissingError, Target


def met() -> dict[str, float]:
    return {"error": 0.0}


def missed() -> dict[str, float]:
    return {"error": 2.0}


def missing() -> dict[str, float]:
    raise MissingError("no data here")


def broken() -> dict[str, float]:
    raise ZeroDivisionError("by zero")


MEASURES = (met, missed, missing, broken)


@pytest.fixture
def four_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tuple(
        Check(n, f.__name__, "a formula", (Target("error", at_most=1),), f.__name__)
        for n, f in enumerate(MEASURES, 1)
    )
    chapter = Chapter(1, "basics", "Four rows", rows)
    monkeypatch.setattr("ragkit.chapters.registry.chapters", lambda name=None: [chapter])
    monkeypatch.setattr("ragkit.chapters.check.load", lambda name: globals()[name])


def test_check_prints_a_line_a_row_and_fails_on_a_miss(ragkit: Command, four_rows: None) -> None:
    result = ragkit("check")
    assert result.code == 1
    assert [line.split("\t") for line in result.out.splitlines()] == [
        ["row", "item", "target", "reached", "reference", "result"],
        ["1", "met", "error ≤ 1", "0", "a formula", "passed"],
        ["2", "missed", "error ≤ 1", "2", "a formula", "missed"],
        ["3", "missing", "error ≤ 1", "", "a formula", "skipped: no data here"],
        ["4", "broken", "error ≤ 1", "", "a formula", "failed: ZeroDivisionError: by zero"],
    ]


def test_check_passes_where_nothing_is_missed(ragkit: Command, four_rows: None) -> None:
    result = ragkit("check", "1", "3", "--json")
    assert result.code == 0
    assert [row["result"] for row in result.json] == ["passed", "skipped: no data here"]
    assert result.json[0]["targets"] == [{"name": "error", "at_least": None, "at_most": 1, "reached": [0.0]}]


def test_a_recipe_trains_by_its_name(ragkit: Command, tmp_path: Path) -> None:
    short = ["--set", "max_steps=3", "--set", "width=8", "--seed", "1", "--out", str(tmp_path / "run")]
    result = ragkit("train", "digits-mlp", *short, "--json")
    assert result.code == 0
    assert 0 <= result.json["scores"]["accuracy"] <= 1
    assert (tmp_path / "run" / "weights.safetensors").is_file()
    assert "accuracy" in ragkit("train", "digits-mlp", *short).out


@pytest.mark.parametrize(
    "words, code, message",
    [
        (["train", "digit-mlp"], 2, "did you mean digits-mlp"),
        (["train", "digits-mlp", "--set", "widht=3"], 1, "did you mean width"),
        (["train", "digits-mlp", "--set", "width"], 1, "expected KEY=VALUE"),
        (["check", "digit-mlp"], 1, "did you mean digits-mlp"),
        (["list", "recipes", "alchemy"], 1, "there are ch1"),
        (["list", "models", "ch1"], 2, "only recipes have chapters"),
    ],
)
def test_unknown_names_are_told_from_those_near(
    ragkit: Command, words: list[str], code: int, message: str
) -> None:
    result = ragkit(*words)
    assert result.code == code
    assert message in " ".join(result.err.replace("│", " ").split())


def test_recipes_are_listed_with_chapter_and_rows(ragkit: Command) -> None:
    every = ragkit("list", "recipes", "--json").json
    assert {"reader", "generator", "digits-mlp"} <= {row["recipe"] for row in every}
    assert {row["chapter"] for row in ragkit("list", "recipes", "ch1", "--json").json} == {"1"}


def test_a_recipes_help_names_its_settings(ragkit: Command) -> None:
    text = " ".join(ragkit("train", "digits-mlp", "--help").out.split())
    assert "width=128" in text and "learning_rate=0.003" in text
