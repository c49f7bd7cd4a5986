"""Files of records, a document each: JSONL, DPR's passages, SQuAD's paragraphs."""

import csv
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ragkit.corpus.document import Document
from ragkit.corpus.files import Unreadable, read_lines, read_text
from ragkit.errors import RagkitError

ID_FIELDS = ("id", "_id", "docid")
TEXT_FIELDS = ("text", "contents", "content", "body")

Located = tuple[Document, str]
"""A document and the place that it came from, for messages: `corpus.jsonl:17`."""


def as_document(record: dict[str, Any], place: str, default_id: str) -> Document:
    """The record as an unsplit document: fields besides id, text and title are metadata, `metadata` too."""
    id_field = next((name for name in ID_FIELDS if record.get(name) is not None), None)
    text_field = next((name for name in TEXT_FIELDS if isinstance(record.get(name), str)), None)
    if text_field is None:
        fields = ", ".join(sorted(map(str, record))) or "none"
        raise RagkitError(
            f"{place}: no text; a record needs one of {', '.join(TEXT_FIELDS)}, it has {fields}"
        )
    rest = {
        name: value
        for name, value in record.items()
        if name not in (id_field, text_field, "title", "metadata")
    }
    metadata = record.get("metadata")
    if isinstance(metadata, dict):
        rest.update(metadata)
    elif metadata is not None:
        rest["metadata"] = metadata
    document_id = default_id if id_field is None else str(record[id_field])
    title = "" if record.get("title") is None else str(record["title"])
    try:
        (document_id + title + record[text_field]).encode()
    except UnicodeEncodeError as error:
        raise RagkitError(
            f"{place}: holds half of a surrogate pair, which is no text; mend the record"
        ) from error
    return Document(document_id, record[text_field], title, rest, splittable=False)


def read_json_lines(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """(record, place) of each line that is not blank. Raises `RagkitError` naming a line that is none."""
    for number, line in read_lines(path):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise RagkitError(f"{place}: broken JSON ({error}); one object a line is expected") from error
        if not isinstance(record, dict):
            raise RagkitError(f"{place}: a JSON object is expected, not {type(record).__name__}")
        yield record, place


def read_jsonl(path: Path, name: str) -> Iterator[Located]:
    """The documents of a JSONL file; one without an id is called `name:line`."""
    for record, place in read_json_lines(path):
        yield as_document(record, place, f"{name}:{place.rpartition(':')[2]}"), place


def read_passages_tsv(path: Path) -> Iterator[Located]:
    """DPR's `psgs_w100.tsv`: header `id text title`, tab-separated, quoted as CSV is."""
    # Line ends go back in: a quoted field may run over several lines.
    rows = csv.DictReader((line + "\n" for _, line in read_lines(path)), delimiter="\t")
    try:
        if not {"id", "text"} <= set(rows.fieldnames or ()):
            raise Unreadable(
                path, "not a file of passages; a header of the columns id, text, title is expected"
            )
        for row in rows:
            place = f"{path}:{rows.line_num}"
            if row["text"] is None or None in row:
                raise RagkitError(
                    f"{place}: not the columns {', '.join(rows.fieldnames or ())}; mend the line"
                )
            yield as_document(row, place, place), place
    except csv.Error as error:
        raise RagkitError(f"{path}:{rows.line_num}: broken quoting ({error}); mend the line") from error


def read_json(path: Path) -> Any:
    """The JSON value in the file. Raises `RagkitError` naming file and line."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise RagkitError(f"{path}:{error.lineno}: broken JSON ({error.msg})") from error
    except RecursionError as error:
        raise RagkitError(f"{path}: JSON nested too deeply to be a data set") from error


def squad_paragraphs(data: Any, path: Path) -> Iterator[tuple[Document, list[dict[str, Any]]]]:
    """(paragraph, its questions) of SQuAD JSON.

    The paragraph's id is its article and a hash of its text: the same in every file that holds it.
    """
    try:
        for article in data["data"]:
            title = article["title"].replace("_", " ")
            for paragraph in article["paragraphs"]:
                digest = hashlib.blake2b(paragraph["context"].encode(), digest_size=6).hexdigest()
                document = Document(f"{title}/{digest}", paragraph["context"], title, splittable=False)
                yield document, paragraph.get("qas", [])
    except (KeyError, TypeError, AttributeError) as error:
        raise Unreadable(path, "not SQuAD JSON; data[].paragraphs[].context is expected") from error


def read_squad(path: Path) -> Iterator[Located]:
    """The paragraphs of SQuAD JSON, each once (SQuAD repeats a few)."""
    seen = set()
    paragraphs = [document for document, _ in squad_paragraphs(read_json(path), path)]
    for number, document in enumerate(paragraphs, 1):
        if document.id not in seen:
            seen.add(document.id)
            yield document, f"{path}, paragraph {number}"
