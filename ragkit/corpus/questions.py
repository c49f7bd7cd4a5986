"""Question sets: what is asked, which answers are accepted, which documents are relevant."""

import ast
import csv
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ragkit.corpus.demo import demo_questions
from ragkit.corpus.document import Document
from ragkit.corpus.files import read_lines, suffix
from ragkit.corpus.records import read_json, read_json_lines, squad_paragraphs
from ragkit.corpus.sources import beir_corpus, read_documents
from ragkit.errors import RagkitError

WHOLE = "all"
"""The split of a set that has none."""


@dataclass(slots=True)
class Question:
    """A question; `relevant` grades ids of documents or passages. Without `answers` none is known.

    `negatives` are ids of passages that look like an answer and are none (DPR's hard negatives).
    """

    id: str
    text: str
    answers: list[str] = field(default_factory=list)
    relevant: dict[str, int] = field(default_factory=dict)
    negatives: list[str] = field(default_factory=list)


@dataclass(slots=True)
class QuestionSet:
    """Questions of one split. `documents` reads the corpus they ask about, where the set has one."""

    name: str
    split: str
    questions: list[Question]
    documents: Callable[[], Iterator[Document]] | None = None


def load_questions(dataset: str | Path, split: str | None = None) -> QuestionSet:
    """The questions of a BEIR folder, of DPR's JSON or CSV, of SQuAD JSON, or of the demo (`demo:`).

    `split` chooses among a BEIR folder's `qrels/SPLIT.tsv`: by default `test`, else `dev`, else the only one;
    the other kinds have the split `all` only. A question that a BEIR folder lists without an answer
    (`"answers": []`) and judges nowhere is asked where there is one split alone. Files may be gzipped. Raises
    `RagkitError` where something is missing, broken (file and line named) or does not fit together.
    """
    path = Path(dataset)
    if str(dataset) != "demo:" and path.is_dir():
        return _beir(path, split)
    if split not in (None, WHOLE):
        raise RagkitError(f"{dataset} has no splits, so no {split!r}; only a BEIR folder has them")
    if str(dataset) == "demo:":
        return demo_questions()
    if not path.is_file():
        raise RagkitError(f"{dataset}: no such question set; give a BEIR folder, SQuAD or DPR file, or demo:")
    if suffix(path) in (".csv", ".tsv"):
        return _checked(QuestionSet(path.name, WHOLE, list(_dpr_rows(path))))
    if suffix(path) != ".json":
        raise RagkitError(
            f"{dataset}: not a question set; known are BEIR folders, .json, .csv and .tsv files"
        )
    data = read_json(path)
    return _checked(_dpr(path, data) if isinstance(data, list) else _squad(path, data))


def _checked(questions: QuestionSet) -> QuestionSet:
    seen = set()
    for question in questions.questions:
        if question.id in seen:
            raise RagkitError(
                f"{questions.name}: the question id {question.id!r} comes twice; ids must differ"
            )
        seen.add(question.id)
    if not questions.questions:
        raise RagkitError(f"{questions.name}: holds no questions")
    return questions


def _beir(folder: Path, split: str | None) -> QuestionSet:
    queries = _either(folder / "queries.jsonl")
    if queries is None:
        raise RagkitError(f"{folder}: not a BEIR folder; queries.jsonl is missing")
    splits = {
        path.name.removesuffix(".gz").removesuffix(".tsv"): path
        for path in sorted(folder.glob("qrels/*.tsv*"))
    }
    if not splits:
        raise RagkitError(f"{folder}: no qrels; qrels/test.tsv with query-id, corpus-id, score is expected")
    if split is None:
        split = next((name for name in ("test", "dev") if name in splits), None)
        if split is None and len(splits) == 1:
            split = next(iter(splits))
    if split not in splits:
        wanted = "neither test nor dev" if split is None else f"no {split!r}"
        raise RagkitError(f"{folder}: {wanted} among its splits; choose one of {', '.join(splits)}")

    relevant = _qrels(splits[split])
    answers: dict[str, list[str]] = {}
    answer_file = _either(folder / "answers.jsonl")
    if answer_file is not None:
        for record, place in read_json_lines(answer_file):
            query_id, accepted = _field(record, "_id", place), _texts(record.get("answers"), place)
            if query_id in relevant or (len(splits) == 1 and not accepted):
                answers[query_id] = accepted
    questions = []
    for record, place in read_json_lines(queries):
        query_id = _field(record, "_id", place)
        if query_id in relevant or query_id in answers:
            text = _field(record, "text", place)
            questions.append(Question(query_id, text, answers.get(query_id, []), relevant.get(query_id, {})))
    found = {question.id for question in questions}
    lost = [query_id for query_id in relevant if query_id not in found]
    if lost:
        raise RagkitError(
            f"{splits[split]}: {len(lost)} queries are not in {queries.name}, the first is {lost[0]!r}"
        )
    documents = None if beir_corpus(folder) is None else lambda: read_documents([folder], strict=True)
    return _checked(QuestionSet(folder.resolve().name, split, questions, documents))


def _either(path: Path) -> Path | None:
    return next((file for file in (path, path.with_name(path.name + ".gz")) if file.is_file()), None)


def _qrels(path: Path) -> dict[str, dict[str, int]]:
    relevant: dict[str, dict[str, int]] = {}
    for number, line in read_lines(path):
        columns = line.split("\t")
        if not line.strip() or (number == 1 and columns[-1].strip() == "score"):
            continue
        try:
            query_id, document_id, grade = columns
            relevant.setdefault(query_id, {})[document_id] = int(grade)
        except ValueError as error:
            raise RagkitError(
                f"{path}:{number}: query-id, corpus-id and a whole number are expected, separated by tabs"
            ) from error
    return relevant


def _field(record: dict[str, Any], name: str, place: str) -> str:
    value = record.get(name)
    if not isinstance(value, str | int):
        raise RagkitError(f"{place}: the field {name!r} is missing or no text")
    return str(value)


def _texts(value: Any, place: str) -> list[str]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise RagkitError(f"{place}: answers must be a list of texts")
    return list(dict.fromkeys(value))


def _squad(path: Path, data: Any) -> QuestionSet:
    questions = []
    for paragraph, asked in squad_paragraphs(data, path):
        for entry in asked:
            place = f"{path}, {paragraph.title}"
            try:
                answers = (
                    [] if entry.get("is_impossible") else [answer["text"] for answer in entry["answers"]]
                )
            except (KeyError, TypeError, AttributeError) as error:
                raise RagkitError(
                    f"{place}: a question without answers[].text; this is not SQuAD JSON"
                ) from error
            question_id, text = _field(entry, "id", place), _field(entry, "question", place)
            questions.append(Question(question_id, text, _texts(answers, place), {paragraph.id: 1}))
    return QuestionSet(path.name, WHOLE, questions, lambda: read_documents([path], strict=True))


def _dpr(path: Path, data: list[Any]) -> QuestionSet:
    questions = []
    for number, entry in enumerate(data, 1):
        place = f"{path}, question {number}"
        if not isinstance(entry, dict):
            raise RagkitError(f"{place}: an object with question and answers is expected")
        relevant = {document.id: 1 for document in _contexts(entry, ("positive_ctxs",), place)}
        negatives = [document.id for document in _contexts(entry, ("hard_negative_ctxs",), place)]
        answers = _texts(entry.get("answers"), place)
        question_id = str(entry.get("id", number))
        questions.append(
            Question(question_id, _field(entry, "question", place), answers, relevant, negatives)
        )
    has_contexts = any(question.relevant for question in questions)
    return QuestionSet(path.name, WHOLE, questions, (lambda: _dpr_documents(path)) if has_contexts else None)


def _dpr_documents(path: Path) -> Iterator[Document]:
    """Each passage that the file holds, once: positives and negatives, which is a corpus to retrieve from."""
    seen = set()
    for number, entry in enumerate(read_json(path), 1):
        kinds = ("positive_ctxs", "hard_negative_ctxs", "negative_ctxs")
        for document in _contexts(entry, kinds, f"{path}, question {number}"):
            if document.id not in seen:
                seen.add(document.id)
                yield document


def _contexts(entry: dict[str, Any], kinds: tuple[str, ...], place: str) -> Iterator[Document]:
    for context in (context for kind in kinds for context in entry.get(kind) or ()):
        text, title = _field(context, "text", place), str(context.get("title") or "")
        passage_id = context.get("passage_id", context.get("psg_id"))
        if passage_id is None:
            passage_id = hashlib.blake2b(f"{title}\n{text}".encode(), digest_size=8).hexdigest()
        yield Document(str(passage_id), text, title, splittable=False)


def _dpr_rows(path: Path) -> Iterator[Question]:
    """DPR's `nq-test.qa.csv`: question, tab, the answers as a Python list of texts; no header."""
    rows = csv.reader((line + "\n" for _, line in read_lines(path)), delimiter="\t")
    for row in rows:
        place = f"{path}:{rows.line_num}"
        try:
            question, literal = row
            answers = ast.literal_eval(literal)  # reads literals only, nothing is evaluated
        except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
            raise RagkitError(f"{place}: a question, a tab and a list of answers are expected") from error
        yield Question(str(rows.line_num), question, _texts(answers, place))
