"""Questions answered in free words: a BEIR folder with answers (FairytaleQA's layout)."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ragkit.errors import RagkitError
from ragkit.training.reading_data import ReadingExample


def read_answered_beir(folder: Path, split: str = "train") -> list[ReadingExample]:
    """Every relevant (question, passage) pair of a split as an example; unanswered questions are left out.

    Reads `corpus.jsonl`, `queries.jsonl`, `answers.jsonl` (each plain or .gz) and `qrels/SPLIT.tsv`. A pair
    repeats the question where it has several passages; its answer is written freely.

    Raises:
        RagkitError: if a file is missing, or a line is broken or names an unknown id.
    """
    passages = {row["_id"]: row for row in _rows(folder / "corpus.jsonl")}
    questions = {row["_id"]: row["text"] for row in _rows(folder / "queries.jsonl")}
    answers = {row["_id"]: tuple(row["answers"]) for row in _rows(folder / "answers.jsonl")}
    qrels = folder / "qrels" / f"{split}.tsv"
    if not qrels.is_file():
        raise RagkitError(f"{qrels}: no such file")
    examples = []
    for number, line in enumerate(qrels.read_text().splitlines()[1:], start=2):
        try:
            question, passage, score = line.split("\t")
            found, text = passages[passage], questions[question]
        except (ValueError, KeyError) as error:
            raise RagkitError(f"{qrels}, line {number}: {error}") from error
        if float(score) > 0 and answers.get(question):
            examples.append(
                ReadingExample(question, found.get("title", ""), text, found["text"], answers[question], -1)
            )
    return examples


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    packed = path.with_name(path.name + ".gz")
    try:
        with gzip.open(packed, "rt") if packed.is_file() else path.open() as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise RagkitError(f"{path}, line {number}: not JSON: {error}") from error
    except FileNotFoundError:
        raise RagkitError(f"{path}: no such file") from None
    except (OSError, EOFError) as error:
        raise RagkitError(f"{path}: not readable: {error}") from error
