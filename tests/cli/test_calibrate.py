"""`ragkit calibrate` and `ask --max-risk`, with the packaged reader."""

import json
from pathlib import Path

import pytest
from command_line import Command

TOWNS = [
    f"{a}{b}" for a in ("Bal", "Cor", "Dun", "Fel", "Gar") for b in ("ford", "ham", "ley", "mouth", "ton")
]


@pytest.fixture
def towns(ragkit: Command, folder: Path) -> Path:
    """25 towns whose rivers are told, and as many questions that nothing answers."""
    (folder / "towns").mkdir()
    asked = folder / "asked"
    (asked / "qrels").mkdir(parents=True)
    queries, answers, qrels = [], [], ["query-id\tcorpus-id\tscore"]
    for i, town in enumerate(TOWNS):
        river = f"the {TOWNS[-1 - i][::-1].capitalize()}"
        (folder / "towns" / f"{town}.txt").write_text(f"{town} is a market town. It lies on {river} river.")
        queries.append({"_id": f"r{i}", "text": f"On which river does {town} lie?"})
        answers.append({"_id": f"r{i}", "answers": [f"{river} river", river]})
        qrels.append(f"r{i}\t{town}.txt\t1")
        queries.append({"_id": f"m{i}", "text": f"Who was the mayor of {town} in 1900?"})
        answers.append({"_id": f"m{i}", "answers": []})
    (asked / "queries.jsonl").write_text("".join(json.dumps(query) + "\n" for query in queries))
    (asked / "answers.jsonl").write_text("".join(json.dumps(answer) + "\n" for answer in answers))
    (asked / "qrels" / "test.tsv").write_text("\n".join(qrels) + "\n")
    assert ragkit("index", "build", "towns").code == 0
    return asked


def test_a_calibrated_index_answers_what_it_is_sure_of(ragkit: Command, towns: Path) -> None:
    made = ragkit("calibrate", "indexes/towns", towns, "--reader", "--json").json
    assert made["questions"] == 50 and made["out"] == "indexes/towns/confidence.json"
    assert made["auroc"] > 0.8 and made["right"] > 0.1
    question = "On which river does Corley lie?"
    known = ragkit("ask", "indexes/towns", question, "--reader", "--max-risk", "0.25", "--json").json
    assert known["answer"] is not None and 0 < known["confidence"] <= 1
    unknown = ragkit(
        "ask", "indexes/towns", "Who was the mayor of Corley in 1900?", "--reader", "--max-risk", "0.25"
    )
    assert unknown.code == 0 and unknown.out.startswith("(not sure enough to answer)")
    assert "right with probability" in ragkit("ask", "indexes/towns", question, "--reader").out
    assert ragkit("index", "verify", "indexes/towns").code == 0

    other = ragkit("ask", "indexes/towns", question, "--reader", "-k", "3", "--max-risk", "0.25")
    assert other.code == 1 and "no calibration for this way of answering" in other.err
    never = ragkit("ask", "indexes/towns", question, "--reader", "--max-risk", "0.0001")
    assert never.code == 1 and "cannot be promised" in never.err and len(never.err.splitlines()) == 1
    both = ragkit("ask", "indexes/towns", question, "--reader", "--max-risk", "0.25", "--best-of", "2")
    assert both.code == 2


def test_too_few_questions_are_refused(ragkit: Command, towns: Path) -> None:
    refused = ragkit("calibrate", "indexes/towns", towns, "--reader", "--limit", "10")
    assert refused.code == 1 and "too few to calibrate on" in refused.err
    assert not Path("indexes/towns/confidence.json").exists()
