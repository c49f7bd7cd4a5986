"""Runs (what a system retrieved) and qrels (what is relevant), in memory and as TREC files."""

import math
from collections.abc import Iterator
from pathlib import Path

from ragkit.corpus.files import read_lines
from ragkit.errors import RagkitError

Run = dict[str, dict[str, float]]
"""Question id -> document id -> score, higher is better."""
Qrels = dict[str, dict[str, int]]
"""Question id -> document id -> grade; above 0 is relevant."""


def ranking(scores: dict[str, float]) -> list[str]:
    """Document ids, best first; equal scores as trec_eval orders them, by id, the higher first."""
    return [name for name, _ in sorted(scores.items(), key=lambda item: (item[1], item[0]), reverse=True)]


def write_run(run: Run, path: Path, tag: str = "ragkit") -> None:
    """Writes the TREC format: `qid Q0 docid rank score tag`, ranks from 1.

    Raises RagkitError where an id holds white space (the format has no way to say so) or the file cannot be
    written.
    """
    lines = []
    for question, scores in run.items():
        for rank, document in enumerate(ranking(scores), 1):
            if any(map(str.isspace, question + document)):
                raise RagkitError(
                    f"{path}: the id {document!r} of {question!r} holds a blank: a TREC run cannot"
                )
            lines.append(f"{question} Q0 {document} {rank} {scores[document]:.9g} {tag}\n")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise RagkitError(f"{path} cannot be written: {error.strerror or error}") from error


def read_run(path: Path) -> Run:
    """Reads the TREC format. Raises RagkitError naming the line that is not of it or repeats a document."""
    run: Run = {}
    for where, fields in _fields(path, (6,)):
        if len(fields) != 6:
            raise RagkitError(f"{where}: expected `qid Q0 docid rank score tag`, found {len(fields)} fields")
        question, _, document, _, score, _ = fields
        scores = run.setdefault(question, {})
        if document in scores:
            raise RagkitError(f"{where}: {document!r} comes twice for question {question!r}")
        try:
            scores[document] = float(score)
        except ValueError as error:
            raise RagkitError(f"{where}: the score {score!r} is not a number") from error
        if not math.isfinite(scores[document]):
            raise RagkitError(f"{where}: the score {score!r} is not a number to rank by")
    if not run:
        raise RagkitError(f"{path}: an empty run")
    return run


def read_qrels(path: Path) -> Qrels:
    """Reads BEIR's (tab-separated with a header) or TREC's (`qid 0 docid grade`) qrels.

    Raises RagkitError naming the line that is of neither.
    """
    qrels: Qrels = {}
    for where, fields in _fields(path, (3, 4)):
        if fields[0] == "query-id":
            continue
        if len(fields) not in (3, 4):
            raise RagkitError(f"{where}: expected `qid docid grade` or `qid 0 docid grade`")
        try:
            qrels.setdefault(fields[0], {})[fields[-2]] = int(fields[-1])
        except ValueError as error:
            raise RagkitError(f"{where}: the grade {fields[-1]!r} is not a whole number") from error
    if not qrels:
        raise RagkitError(f"{path}: empty qrels")
    return qrels


def _fields(path: Path, counts: tuple[int, ...]) -> Iterator[tuple[str, list[str]]]:
    """(place, fields) of each line, cut at tabs where that gives so many: BEIR's ids may hold blanks."""
    if not path.is_file():
        raise RagkitError(f"{path}: no such file")
    for number, line in read_lines(path):
        if line.strip():
            fields = line.split("\t")
            yield f"{path}:{number}", fields if len(fields) in counts else line.split()
