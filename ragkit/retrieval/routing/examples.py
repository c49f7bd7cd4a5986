"""Labelled questions that a router learns from: JSON lines of "text" and "label"."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ragkit.errors import RagkitError

NONE = "none"
"""The label of questions that are for none of the others."""


@dataclass(frozen=True, slots=True)
class Example:
    text: str
    label: str


def read_examples(path: Path) -> list[Example]:
    """Raises RagkitError where the file is missing, is empty, or a line is no example; the message names the
    line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise RagkitError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise RagkitError(f"cannot read {path}: {error.strerror or error}") from error
    examples = [_example(line, f"{path}, line {n}") for n, line in enumerate(lines, 1) if line.strip()]
    if not examples:
        raise RagkitError(f'{path} is empty: a line an example, such as {{"text": "...", "label": "..."}}')
    return examples


def labels_of(examples: Sequence[Example]) -> list[str]:
    """The labels beside "none", in alphabetical order.

    Raises RagkitError where a label has one example, so that none can be held out, or where the threshold has
    nothing to be calibrated on: one label alone, and no example of "none".
    """
    counts = Counter(example.label for example in examples)
    unknown = counts.pop(NONE, 0)
    if not counts:
        raise RagkitError(f'every example is labelled "{NONE}": give two or more of each label, too')
    if single := sorted(label for label, count in counts.items() if count == 1):
        raise RagkitError(
            f"label {single[0]!r} has one example: give two or more, so that one can be held out"
        )
    if len(counts) == 1 and not unknown:
        raise RagkitError(
            f"all examples are labelled {next(iter(counts))!r}: give a second label, "
            f'or examples labelled "{NONE}"'
        )
    return sorted(counts)


def _example(line: str, where: str) -> Example:
    try:
        record = json.loads(line)
        text, label = record["text"], record["label"]
    except (ValueError, TypeError, KeyError) as error:
        raise RagkitError(
            f'{where}: expected {{"text": "...", "label": "..."}}, not {line[:60]!r}'
        ) from error
    if not (isinstance(text, str) and text.strip() and isinstance(label, str) and label.strip()):
        raise RagkitError(f"{where}: text and label must be strings that are not empty")
    return Example(text, label.strip())
