"""The two things that text comes in: a document as the user has it, a passage as the index keeps it."""

from dataclasses import dataclass, field
from typing import Any

Metadata = dict[str, Any]
"""JSON values by name (`{"lang": "en", "year": 2021}`): what `--filter` expressions speak about."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document of the user's, parsed to plain text.

    `id` is unique in an index: for a file its path relative to the folder that was given, for a record
    of a data set its own id. `text` is what the offsets of passages count characters in. Where nobody says
    how to split, a `splittable` document is cut into passages and a record of a data set (False) stays whole.
    """

    id: str
    text: str
    title: str = ""
    metadata: Metadata = field(default_factory=dict)
    splittable: bool = True


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of a document: `document.text[start:end] == passage.text`, in characters.

    `id` is `document_id` when the document is one passage as it stands (a data set's passages keep the
    ids that its qrels speak of), else `document_id#start-end`.
    """

    id: str
    document_id: str
    text: str
    start: int
    end: int
    title: str = ""
    metadata: Metadata = field(default_factory=dict)
