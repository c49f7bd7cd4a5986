"""`ragkit mine`, `ragkit train dpr` and `ragkit index adopt`: from an index and questions to a better one."""

import json
from pathlib import Path

import pytest
from command_line import Command


@pytest.fixture
def questions(folder: Path) -> Path:
    asked = folder / "questions"
    (asked / "qrels").mkdir(parents=True)
    (asked / "queries.jsonl").write_text('{"_id": "q", "text": "What ends the nearest loop?"}\n')
    (asked / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\tloops.txt\t1\n")
    return asked


def test_mine_writes_dpr_json(ragkit: Command, indexed: Path, questions: Path, folder: Path) -> None:
    done = ragkit("mine", indexed, questions, "--out", "mined.json", "--margin", "0")
    assert done.code == 0 and "1 questions" in done.out
    (entry,) = json.loads((folder / "mined.json").read_text())
    assert entry["positive_ctxs"][0]["passage_id"].startswith("loops.txt")
    assert {context["title"] for context in entry["hard_negative_ctxs"]}
    counted = ragkit("mine", indexed, questions, "--out", "mined.json", "--json").json
    assert counted["written"] == 1 and counted["out"] == "mined.json"


@pytest.mark.parametrize(
    "words, said",
    [
        (["mined.json", "--towers", "two"], "shared, separate, frozen"),
        (["mined.json", "--loss", "huber"], "nll, triplet, contrastive"),
    ],
)
def test_what_cannot_be_is_a_usage_error(ragkit: Command, folder: Path, words: list[str], said: str) -> None:
    (folder / "mined.json").write_text("[]")
    refused = ragkit("train", "dpr", *words, "--out", "run")
    assert refused.code == 2 and said in " ".join(refused.err.replace("│", " ").split())


def test_nothing_to_train_on_is_one_line(ragkit: Command, folder: Path) -> None:
    (folder / "mined.json").write_text("[]")
    refused = ragkit("train", "dpr", "mined.json", "--out", "run")
    assert refused.code == 1 and len(refused.err.splitlines()) == 1 and "no questions" in refused.err


def test_adopt_refuses_an_encoder_of_other_passages(ragkit: Command, indexed: Path) -> None:
    same = ragkit("index", "adopt", indexed, "hashing-a")
    assert same.code == 0 and "from now on" in same.out
    other = ragkit("index", "adopt", indexed, "hashing-b")
    assert other.code == 1 and "wrong encoder" in other.err
    assert ragkit("search", indexed, "nearest loop").code == 0
