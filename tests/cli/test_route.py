"""`ragkit route` and `ragkit ask --router`."""

import json
from pathlib import Path

import pytest
from command_line import Command

EXAMPLES = [
    ("when was the first release", "history"),
    ("in which year was the first release out", "history"),
    ("how is the cache turned off", "cache"),
    ("which option turns the cache off", "cache"),
]


@pytest.fixture
def examples(folder: Path) -> Path:
    lines = [json.dumps({"text": text, "label": label}) for text, label in EXAMPLES]
    (folder / "examples.jsonl").write_text("\n".join(lines))
    return Path("examples.jsonl")


def test_questions_find_their_label(ragkit: Command, examples: Path) -> None:
    fitted = ragkit("route", "fit", examples, "--out", "routers/help")
    assert fitted.code == 0 and "4 examples of 2 labels, by " in fitted.out
    assert "a question is for none" in fitted.err
    assert ragkit("route", "ask", "routers/help", "turn the cache off").out.splitlines()[0] == "cache"
    none = ragkit("route", "ask", "routers/help", "ten green bottles", "--json").json
    assert none["label"] is None and none["similarity"] < none["threshold"]
    assert set(none["probabilities"]) == {"cache", "history"}
    lines = ragkit("route", "ask", "routers/help", "-", stdin="the first release\nten green bottles\n").out
    assert [line.split("\t")[0] for line in lines.splitlines()] == ["history", "none"]


def test_ask_searches_the_index_of_the_label(ragkit: Command, examples: Path, indexed: Path) -> None:
    arguments = ("--out", "routers/help", "--index", f"history={indexed}", "--json")
    fitted = ragkit("route", "fit", examples, *arguments).json
    assert fitted["indexes"] == {"history": "../../indexes/notes"}
    asked = ("ask", "--router", "routers/help", "--reader", "--json")
    answer = ragkit(*asked, "when was the first release out")
    assert answer.code == 0 and answer.json["answer"] == "1991" and "history: " in answer.err
    none = ragkit(*asked, "ten green bottles")
    assert none.code == 0 and none.json["answer"] is None and "the threshold is" in none.err
    without = ragkit(*asked, "how is the cache turned off")
    assert without.code == 1 and "label 'cache' has no index in routers/help" in without.err
    both = ragkit("ask", "--router", "routers/help", indexed, "when was the first release out")
    assert both.code == 2 and "picks the index" in both.err


def test_what_is_wrong_is_one_line(ragkit: Command, examples: Path) -> None:
    fit = ("route", "fit", examples, "--out", "routers/help")
    for arguments, code, says in (
        ((*fit, "--index", "history=nowhere"), 1, "nowhere"),
        ((*fit, "--index", "release=notes"), 1, "no example is labelled 'release'; labels: cache, history"),
        ((*fit, "--index", "history"), 2, "is not LABEL=INDEX"),
        ((*fit, "--method", "magic"), 2, "'magic' is not one of"),
        (("route", "ask", "routers/none", "x"), 1, "no router in routers/none"),
        (("route", "fit", "none.jsonl", "--out", "r"), 1, "cannot read none.jsonl"),
    ):
        result = ragkit(*arguments)
        assert result.code == code and says in result.err, result.err
    assert not Path("routers").exists()
