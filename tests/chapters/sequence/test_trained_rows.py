"""What the trained rows of chapter 6 prove without training, where the default run sees it."""

from collections.abc import Callable
from typing import Any

import pytest

from ragkit.chapters.registry import checks
from ragkit.chapters.sequence.alignment import context_error
from ragkit.chapters.sequence.bert import pretraining_error
from ragkit.chapters.sequence.blocks import gpt2_error, transformer_error
from ragkit.chapters.sequence.elmo import golden_error
from ragkit.chapters.sequence.masking import rates_off, strays
from ragkit.chapters.sequence.next_sentence import base_size, drawn


def part(row: int, name: str, measure: Callable[[], float]) -> Any:
    return pytest.param(row, name, measure, marks=pytest.mark.row(row), id=f"row {row}: {name}")


@pytest.mark.parametrize(
    ("row", "name", "measure"),
    [
        part(83, "golden files off by", golden_error),
        part(87, "context off by", context_error),
        part(93, "error", transformer_error),
        part(94, "off GPT-2", gpt2_error),
        part(96, "rates off by, points", rates_off),
        part(96, "special tokens picked, labels elsewhere", strays),
        part(96, "off BertForPreTraining", pretraining_error),
        part(97, "parameters of base", base_size),
        part(97, "random ones off half, points", lambda: drawn()["random ones off half, points"]),
        part(97, "random ones of the same document", lambda: drawn()["random ones of the same document"]),
        part(97, "others that do not follow", lambda: drawn()["others that do not follow"]),
    ],
)
def test_the_part_reaches_its_target(row: int, name: str, measure: Callable[[], float]) -> None:
    target = next(target for target in checks([str(row)])[0].targets if target.name == name)
    assert target.holds(measure()), target
