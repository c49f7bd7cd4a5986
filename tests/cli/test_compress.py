"""`ragkit compress` on an index; models are compressed in tests/training/compression."""

import json
from pathlib import Path

import pytest
from command_line import Command


@pytest.fixture
def many(ragkit: Command, folder: Path) -> Path:
    """An index of 400 small documents."""
    lines = [
        json.dumps({"_id": str(n), "text": " ".join(f"word{n * p % 211}" for p in (1, 3, 7, 11, 31))})
        for n in range(400)
    ]
    (folder / "docs.jsonl").write_text("\n".join(lines))
    assert ragkit("index", "build", "docs.jsonl", "--out", "indexes/many").code == 0
    return Path("indexes/many")


def test_ways_are_compared_and_one_is_built(ragkit: Command, many: Path) -> None:
    shown = ragkit("compress", many, "--size", "16")
    assert shown.code == 0 and "nothing built" in shown.out and "sentences of its passages asked" in shown.err
    names = [line.split("\t")[0] for line in shown.out.splitlines()]
    assert names[1:4] == ["exact", "sq8", "sq4"] and "similarity16 + sq8" in names
    before = ragkit("index", "info", many, "--json").json
    made = ragkit("compress", many, "--size", "16", "--to", "sq8", "--json").json
    after = ragkit("index", "info", many, "--json").json
    assert made["built"] == str(many) and before["factory"] != "SQ8" == after["factory"]
    ways = {way["way"]: way for way in made["ways"]}
    assert ways["exact"]["recall@10"]["mean"] == 1 > ways["rabitq"]["recall@10"]["mean"]
    # The hashing encoder takes no further layer.
    refused = ragkit("compress", many, "--size", "16", "--to", "similarity", "--out", "small")
    assert refused.code == 1 and "takes no further layer" in refused.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--to", "int9"), "an index takes"),
        (("--to", "similarity"), "name a folder"),
        (("--to", "sq8", "--out", "x"), "in place"),
        (("--to", "layers"), "name a folder"),
    ],
)
def test_options_that_do_not_fit_an_index(
    arguments: tuple[str, ...], said: str, ragkit: Command, many: Path
) -> None:
    answer = ragkit("compress", many, *arguments)
    assert answer.code == 2 and said in " ".join(answer.err.split())


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (("packaged", "--out", "x"), "say which", 2),
        (("packaged", "--as", "judge", "--out", "x"), "not one of", 2),
        (("packaged", "--as", "reader"), "name a folder", 2),
        (("packaged", "--as", "reader", "--to", "sq8", "--out", "x"), "a model takes", 2),
        (("nowhere/at/all", "--out", "x"), "no such model", 1),
    ],
)
def test_options_that_do_not_fit_a_model(
    arguments: tuple[str, ...], said: str, code: int, ragkit: Command
) -> None:
    answer = ragkit("compress", *arguments)
    assert answer.code == code and said in " ".join(answer.err.split())


def test_a_reader_is_judged_by_questions(ragkit: Command, folder: Path) -> None:
    data: dict[str, list[dict[str, object]]] = {"data": []}
    for number, (name, place) in enumerate((("Ada", "London"), ("Max", "Berlin"), ("Eve", "Paris"))):
        context = f"{name} lives in {place}."
        asked = {
            "id": str(number),
            "question": f"Where does {name} live?",
            "answers": [{"text": place, "answer_start": context.index(place)}],
        }
        data["data"].append({"title": name, "paragraphs": [{"context": context, "qas": [asked]}]})
    (folder / "asked.json").write_text(json.dumps(data))
    texts = (json.dumps({"text": f"{n} men live in towns near {n + 7} lakes."}) for n in range(140))
    (folder / "texts.jsonl").write_text("\n".join(texts))
    given = ("packaged", "--as", "reader", "--questions", "asked.json", "--texts", "texts.jsonl", "--out")
    made = ragkit("compress", *given, "small", "--limit", "2", "--json").json
    assert made["measure"] == "F1" and made["baseline"] is None
    assert [row["name"] for row in made["rows"]] == ["as it was", "int8, rounded", "int8"]
    assert all(row["score"]["mean"] > 0.9 for row in made["rows"])
    assert made["rows"][0]["difference"] == {"mean": 0, "low": 0, "high": 0}
    refused = ragkit("compress", "packaged", "--as", "reader", "--out", "other", "--questions", "no.json")
    assert refused.code == 1 and "no such question set" in refused.err
