"""`ask` with a generator: what it computes in, and prompts kept."""

import json
from pathlib import Path

import pytest
from command_line import Command


@pytest.fixture
def index(ragkit: Command, folder: Path) -> str:
    texts = ("The bridge of Corley was built in 1871.", "The mill of Corley burnt down in 1902.")
    Path("town.jsonl").write_text(
        "\n".join(json.dumps({"id": str(i), "text": t}) for i, t in enumerate(texts))
    )
    assert ragkit("index", "build", "town.jsonl", "--out", "indexes/town").code == 0
    return "indexes/town"


def test_precision_and_a_cache_leave_the_answer_as_it_is(ragkit: Command, index: str) -> None:
    asked = ("ask", index, "When was the bridge of Corley built?", "--json")
    plain = ragkit(*asked).json
    assert plain["answer"] == "1871"
    for options in (
        ["--precision", "fp32"],
        ["--precision", "bf16", "--runtime", "torch"],
        ["--runtime", "openvino"],
        ["--cache", "8"],
    ):
        other = ragkit(*asked, *options).json
        assert other["answer"] == "1871"
        assert other["log_probability"] == pytest.approx(plain["log_probability"], abs=0.1)
        assert other["config"] == plain["config"]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--precision", "fp8"], 1, "no precision 'fp8'"),
        (["--precision", "int8", "--runtime", "torch"], 1, "int8 needs the runtime openvino"),
        (["--cache", "-1"], 2, "--cache"),
        (["--reader", "--cache", "8"], 2, "read or generated, not both"),
        (["--reader", "--precision", "int8", "--runtime", "torch"], 1, "int8 needs the runtime openvino"),
    ],
)
def test_what_is_not_to_be_had_is_one_line(
    ragkit: Command, index: str, options: list[str], code: int, message: str
) -> None:
    refused = ragkit("ask", index, "When?", *options)
    assert refused.code == code and message in " ".join(refused.err.split())
    assert "Traceback" not in refused.err
