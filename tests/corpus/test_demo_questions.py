"""The demo questions are checked against the text they ask about: the language reference inside CPython.

Written against CPython 3.11. Other versions reword a sentence here and there (3.13: 12 of 215), so there a
question whose evidence is gone is skipped; on 3.11 nothing is.
"""

import json
import re
import sys
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pytest

import ragkit.corpus

LINES = (Path(ragkit.corpus.__path__[0]) / "demo_questions.jsonl").read_text("utf-8").splitlines()
QUESTIONS: list[dict[str, Any]] = [json.loads(line) for line in LINES]
ANSWERABLE = [question for question in QUESTIONS if question["topics"]]
UNANSWERABLE = [question for question in QUESTIONS if not question["topics"]]
REFERENCE_VERSION = sys.version_info[:2] == (3, 11)

# What the unanswerable questions turn on; none of it may occur in the text.
UNMENTIONED = re.compile(
    r"Rossum|Tim Peters|Zen|licen[cs]e|end of life|benchmark|csv|argparse|getopt|recursion (depth|limit)"
    r"|urllib|ThreadPool|gather|pip install|virtual environment|venv|[Tt]imsort|interpreter lock|\bGIL\b"
    r"|load factor|[Ss]ip[Hh]ash|sha256|hashlib|JSON|json|sqlite|time\.sleep|word boundary|threshold|\bUTC\b"
)


def flat(text: str) -> str:
    """One line: white space collapsed, and the words joined that the reference breaks after a hyphen."""
    return re.sub(r"-\s+", "-", " ".join(text.split()))


TEXTS = {topic: flat(text) for topic, text in topics.items()}


@pytest.mark.parametrize("question", ANSWERABLE, ids=lambda question: question["id"])
def test_the_answers_stand_in_the_evidence_and_the_evidence_in_the_topics(question: dict[str, Any]) -> None:
    evidence = flat(question["evidence"])
    assert question["answers"], "no accepted answer"
    for answer in question["answers"]:
        assert answer in evidence
        assert 1 <= len(answer.split()) <= 8
        assert re.search(r"[A-Za-z0-9]", answer), "SQuAD normalisation would leave nothing of this answer"
    holding = {topic for topic, text in TEXTS.items() if evidence in text}
    if not REFERENCE_VERSION and question["topics"][0] not in holding:
        pytest.skip(f"Python {sys.version_info.major}.{sys.version_info.minor} words this differently")
    assert question["topics"][0] in holding
    assert not REFERENCE_VERSION or holding <= set(question["topics"]), (
        "topics with the same text are missing"
    )
    for topic in set(question["topics"]) - holding:  # says the same in other words
        assert any(answer in TEXTS.get(topic, "") for answer in question["answers"]), topic


def test_no_unanswerable_question_has_an_answer() -> None:
    assert all(question["answers"] == [] and question["evidence"] is None for question in UNANSWERABLE)
    found = {topic: match.group() for topic, text in TEXTS.items() if (match := UNMENTIONED.search(text))}
    assert found == {}


def test_counts_and_coverage() -> None:
    assert len(QUESTIONS) >= 120
    assert len(UNANSWERABLE) >= 20
    assert len({question["topics"][0] for question in ANSWERABLE}) >= 45
    assert all(set(question) == {"id", "text", "topics", "answers", "evidence"} for question in QUESTIONS)
    assert len({question["id"] for question in QUESTIONS}) == len(QUESTIONS)
    assert len({question["text"].casefold() for question in QUESTIONS}) == len(QUESTIONS)


def test_questions_are_not_sentences_of_the_text() -> None:
    """No question shares seven words in a row with its evidence: finding it takes more than copying."""

    def runs(text: str) -> set[str]:
        words = re.findall(r"\w+", text.lower())
        return {" ".join(words[start : start + 7]) for start in range(len(words) - 6)}

    for question in ANSWERABLE:
        assert not runs(question["text"]) & runs(question["evidence"]), question["id"]
