"""`ragkit index plan` and `verify --recall` on some hundred documents."""

import json
from pathlib import Path

import pytest
import typer
from command_line import Command

from ragkit.index.faiss_index import FaissIndex
from ragkit_cli import units


@pytest.fixture(autouse=True)
def few_recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough for every kind of choice, and quick."""
    from ragkit.index.planning import plan as planning
    from ragkit.index.recipe import recipes

    monkeypatch.setattr(
        planning, "recipes", lambda: [one for one in recipes() if one.name in ("flat", "ivf-sq8", "ivf-sq6")]
    )


@pytest.fixture
def planned(ragkit: Command, folder: Path) -> Path:
    """An index of 500 small documents."""
    docs = folder / "docs.jsonl"
    docs.write_text("\n".join(map(_line, range(500))))
    assert ragkit("index", "build", "docs.jsonl", "--out", "indexes/many").code == 0
    return Path("indexes/many")


def _line(number: int) -> str:
    words = " ".join(f"word{number * prime % 211}" for prime in (1, 3, 7, 11, 31))
    return json.dumps({"_id": str(number), "text": f"{words}. Line {number} of {number % 17}."})


def test_a_plan_builds_what_it_chose_and_promises_it(ragkit: Command, planned: Path) -> None:
    before = ragkit("index", "info", planned, "--json").json
    assert before["promise"] is None and "promise\tnone" in ragkit("index", "info", planned).out
    made = ragkit("index", "plan", planned, "--recall", "0.9", "--ram", "1MB", "--latency", "1s")
    assert made.code == 0 and "50 sentences of the passages asked; measured" in made.err
    head, *rows, last = made.out.splitlines()
    assert head.split("\t")[:4] == ["engine", "search", "recall@10", "at least"]
    assert all(float(row.split("\t")[2]) >= 0.85 for row in rows), "the table ends 0.05 below the goal"
    chosen = [row for row in rows if row.endswith("\tchosen")]
    assert len(chosen) == 1 and chosen[0].startswith("ivf-sq")
    assert last.startswith("built indexes/many with ivf-sq") and "0.9 is promised" in last
    info = ragkit("index", "info", planned, "--json").json
    assert info["factory"].startswith("IVF") and info["generation"] == before["generation"] + 1
    assert info["promise"]["recall"] == 0.9 <= info["promise"]["expected"]
    assert info["promise"]["passages"] == 500 and info["promise"]["questions"] == "sentences"
    assert "recall@10 0.9, expected" in ragkit("index", "info", planned).out
    verified = ragkit("index", "verify", planned, "--recall")
    assert verified.code == 0 and "50 sentences of the passages asked; 0.9 was promised" in verified.out
    assert ragkit("search", planned, "word3 line", "--mode", "dense", "-k", 3).out.count("\n") == 3


def test_json_and_the_index_built_last(ragkit: Command, planned: Path) -> None:
    shown = ragkit("index", "plan", "--dry-run", "--json")
    assert shown.code == 0 and shown.json["built"] is False and shown.json["chosen"]["bound"] >= 0.95
    assert [row["recall"] for row in shown.json["engines"]] == sorted(
        row["recall"] for row in shown.json["engines"]
    )
    built = ragkit("index", "plan", "--json").json
    assert built["built"] and built["passages"] == 500 and built["measured_on"] == 500
    recall = ragkit("index", "verify", "--recall", "--json").json["recall"]
    assert recall["promise"]["recall"] == 0.95 and 0.9 < recall["low"] <= recall["recall"] <= recall["high"]


def test_a_dry_run_changes_nothing(ragkit: Command, planned: Path) -> None:
    before = ragkit("index", "info", planned, "--json").json
    assert "nothing built; the choice is" in ragkit("index", "plan", planned, "--dry-run").out
    assert ragkit("index", "info", planned, "--json").json == before


def test_goals_that_nothing_keeps(ragkit: Command, planned: Path) -> None:
    for options in ([], ["--json"]):
        made = ragkit("index", "plan", planned, "--recall", 1, "--ram", "20kB", *options)
        assert made.code == 1 and made.err.splitlines()[-1].startswith(
            "ragkit: no engine keeps recall 1, 0.0 MB"
        )
        assert "ask for --" in made.err and "Traceback" not in made.err
    assert made.json["chosen"] is None and made.json["built"] is False
    assert ragkit("index", "info", planned, "--json").json["promise"] is None


def test_a_promise_lives_on_and_says_for_how_many_it_was(
    ragkit: Command, planned: Path, folder: Path
) -> None:
    assert ragkit("index", "plan", planned, "--recall", "0.9").code == 0
    promised = ragkit("index", "info", planned, "--json").json
    (folder / "more.jsonl").write_text("\n".join(map(_line, range(500, 560))))
    assert ragkit("index", "add", planned, "more.jsonl").code == 0
    assert ragkit("index", "delete", planned, "3").code == 0
    assert ragkit("index", "compact", planned).code == 0
    info = ragkit("index", "info", planned, "--json").json
    assert [info[name] for name in ("promise", "factory", "search")] == [
        promised[name] for name in ("promise", "factory", "search")
    ]
    assert "of 500 passages, now 559" in ragkit("index", "info", planned).out
    assert ragkit("index", "verify", planned, "--recall").code == 0
    assert ragkit("index", "build", "docs.jsonl", "--out", planned).code == 0
    assert ragkit("index", "info", planned, "--json").json["promise"] is None


def test_an_engine_that_too_few_are_left_for_is_given_up(ragkit: Command, planned: Path) -> None:
    assert ragkit("index", "plan", planned, "--recall", "0.9").code == 0
    assert ragkit("index", "delete", planned, *range(5, 500)).code == 0
    assert ragkit("index", "compact", planned).code == 0
    info = ragkit("index", "info", planned, "--json").json
    assert (info["index"], info["factory"], info["promise"]) == ("auto", "Flat", None)
    refused = ragkit("index", "verify", planned, "--recall")
    assert refused.code == 1 and "every search finds them all" in refused.err


def test_a_broken_promise_is_one_line(
    ragkit: Command, planned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ragkit("index", "plan", planned, "--recall", "0.95").code == 0
    search = FaissIndex.search

    def blunt(self: FaissIndex, vectors, k, allowed=None):  # type: ignore[no-untyped-def]
        scores, rows = search(self, vectors, k, allowed)
        rows[:, k // 2 :] = -1
        return scores, rows

    monkeypatch.setattr(FaissIndex, "search", blunt)
    verified = ragkit("index", "verify", planned, "--recall")
    assert verified.code == 1 and verified.err.count("\n") == 1
    assert "but 0.95 was promised: plan the index again" in verified.err


def test_questions_of_a_data_set(ragkit: Command, planned: Path, folder: Path) -> None:
    (folder / "set" / "qrels").mkdir(parents=True)
    lines = [json.dumps({"_id": f"q{i}", "text": f"word{i} word{3 * i}"}) for i in range(40)]
    (folder / "set" / "queries.jsonl").write_text("\n".join(lines))
    qrels = "".join(f"q{i}\t{i}\t1\n" for i in range(40))
    (folder / "set" / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + qrels)
    made = ragkit("index", "plan", planned, "--questions", "set", "--json").json
    assert made["questions"] == "set" and made["asked"] == 40
    assert (
        "40 questions of set asked"
        in ragkit("index", "verify", planned, "--recall", "--questions", "set").out
    )
    nowhere = ragkit("index", "plan", planned, "--questions", "nowhere")
    assert nowhere.code == 1 and "nowhere" in nowhere.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--ram", "2"], "'2' is not a size like 500MB"),
        (["--ram", "lots"], "is not a size like"),
        (["--ram", "0GB"], "is not a size like"),
        (["--latency", "10"], "is not a time like 10ms"),
        (["--latency", "-5ms"], "is not a time like"),
        (["--recall", "95"], "recall 95 is not a share"),
        (["--recall", "nan"], "recall nan is not a share"),
    ],
)
def test_bad_goals(ragkit: Command, planned: Path, options: list[str], said: str) -> None:
    refused = ragkit("index", "plan", planned, *options)
    assert refused.code in (1, 2) and said in " ".join(refused.err.split())
    assert "Traceback" not in refused.err and refused.out == ""


def test_what_cannot_be_planned(ragkit: Command, indexed: Path) -> None:
    few = ragkit("index", "plan", indexed)
    assert few.code == 1 and "3 passages, too few to measure on" in few.err
    none = ragkit("index", "plan", "nowhere")
    assert none.code == 1 and "no index at nowhere" in none.err
    alone = ragkit("index", "verify", indexed, "--questions", "set")
    assert alone.code == 2 and "goes with --recall" in alone.err


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2GB", 2e9), ("500 MB", 5e8), ("1.5gib", 1.5 * 2**30), ("64kB", 64e3), (".5TB", 5e11), ("7B", 7)],
)
def test_sizes(text: str, expected: float) -> None:
    assert units.size(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("10ms", 0.01), ("0.5 s", 0.5), ("250us", 25e-5), ("1S", 1.0)]
)
def test_durations(text: str, expected: float) -> None:
    assert units.duration(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "GB", "2 G B", "1e3MB", "2XB", "-1MB", "٣GB x", "1,5GB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is not a size"):
        units.size(text)
