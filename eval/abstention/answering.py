"""The packaged answerers as they are calibrated, and their graded answers, kept from run to run."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eval.abstention.questions import Asked, K
from ragkit.corpus.questions import Question
from ragkit.evaluation.calibration import Graded, graded, is_right
from ragkit.generation.answer import Answer
from ragkit.generation.answerer import Answerer
from ragkit.retrieval.index import Index

SYSTEMS = ("reader", "generator")
AT_ONCE = 16


@dataclass(frozen=True)
class Record:
    """One question: its answer's features and label, and retrieval's highest score."""

    id: str
    answerable: bool
    answer: str
    right: bool
    score: float
    graded: Graded


def answerer_of(system: str, index: Index | None, k: int = K) -> Answerer:
    """By default settings, except that it may not answer "nothing"."""
    if system == "reader":
        from ragkit.generation.reader import ExtractiveReader

        return ExtractiveReader(index, k=k, allow_empty=False)
    from ragkit.generation.rag_sequence import RagSequence

    return RagSequence(index, k=k, min_answer_tokens=2)


def answered(
    answerer: Answerer,
    asked: Sequence[Asked],
    kept: Path,
    right: Callable[[Answer, Question], bool] = is_right,
) -> list[Record]:
    """Each question's record; those that the file `kept` holds of an earlier run are not answered again."""
    records = [_read(json.loads(line)) for line in kept.read_text().splitlines()] if kept.is_file() else []
    kept.parent.mkdir(parents=True, exist_ok=True)
    todo = asked[len(records) :]
    with kept.open("a", encoding="utf-8") as file:
        for at in range(0, len(todo), AT_ONCE):
            some = todo[at : at + AT_ONCE]
            answers = answerer.answer([one.question.text for one in some], [one.hits for one in some])
            for one, answer in zip(some, answers, strict=True):
                label = right(answer, one.question)
                made = graded(answer, one.question) or Graded((0.0,) * 8, False, one.score)
                record = Record(
                    one.question.id, bool(one.question.answers), answer.text, label, one.score, made
                )
                file.write(json.dumps(asdict(record)) + "\n")
                records.append(record)
            file.flush()
            print(f"\r{kept.stem} {len(records)}/{len(asked)} questions   ", end="", file=sys.stderr)
    print(file=sys.stderr)
    return records


def _read(fields: dict[str, Any]) -> Record:
    of_answer = fields.pop("graded")
    return Record(**fields, graded=Graded(**of_answer | {"features": tuple(of_answer["features"])}))
