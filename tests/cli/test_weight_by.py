"""`ragkit ask --weight-by`: sources trusted by a field of their metadata."""

import json
from pathlib import Path

import pytest
from command_line import Command

TEXT = "The old bridge of {town} was built in {year} by the engineer of the county."


def test_a_source_of_more_weight_has_the_prior_and_the_answer(ragkit: Command, folder: Path) -> None:
    records = [
        {"id": "rumour", "text": TEXT.format(town="Corley", year=1871), "trust": 1},
        {"id": "archive", "text": TEXT.format(town="Corley", year=1902), "trust": 500},
        {"id": "unclear", "text": TEXT.format(town="Corley", year=1888), "doubt": "some"},
    ]
    Path("bridges.jsonl").write_text("\n".join(map(json.dumps, records)))
    assert ragkit("index", "build", "bridges.jsonl", "--out", "indexes/bridges").code == 0
    asked = ("ask", "indexes/bridges", "When was the bridge of Corley built?", "--reader", "--json")
    plain = {one["passage"]["id"]: one["prior"] for one in ragkit(*asked).json["support"]}
    answer = ragkit(*asked, "--weight-by", "trust").json
    weighed = {one["passage"]["id"]: one["prior"] for one in answer["support"]}
    odds = weighed["archive"] / weighed["unclear"]
    assert odds == pytest.approx(500 * plain["archive"] / plain["unclear"], rel=1e-3)
    assert answer["answer"] == "1902" and answer["config"]["weight_by"] == "trust"
    refused = ragkit(*asked, "--weight-by", "doubt")
    assert refused.code == 1 and "unclear: its metadata say doubt = 'some'" in refused.err
