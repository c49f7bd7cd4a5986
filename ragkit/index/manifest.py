"""What a generation says of itself: how it was made, what it holds, and the checksum of each of its files."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from ragkit.encoders.passport import Passport
from ragkit.errors import RagkitError

FORMAT = 3
"""Version of the layout on disk. A reader refuses a higher one: it was made by a newer ragkit."""


@dataclass(frozen=True)
class FileRecord:
    """One file of a generation: its size in bytes and its SHA-256 in hexadecimal."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Counts:
    """Live and deleted apart: what is deleted stays on disk, invisible, until `compact`."""

    documents: int
    passages: int
    deleted_documents: int = 0
    deleted_passages: int = 0
    skipped: int = 0
    """Sources that the last build, add or update could not read."""


@dataclass(frozen=True)
class Promise:
    """What a plan (`planning/`) promised of the engine that it chose: recall of the ten nearest vectors."""

    recall: float
    """As asked for."""
    expected: float
    """As measured on, or extrapolated from, a sample of the vectors."""
    passages: int
    """How many there were: of more it says nothing."""
    questions: str
    """What was asked: "sentences" of the passages, the passages' own "vectors", or a data set's name."""


@dataclass(frozen=True)
class Manifest:
    """The contents of `manifest.json`."""

    created: str
    """ISO 8601, UTC."""
    ragkit: str
    """The version that wrote it."""
    passport: Passport
    splitting: dict[str, Any] | None
    """Fields of `Splitting`; None where it was left to the sources."""
    index: str
    """As asked for: "auto", a recipe's name, or a FAISS factory string."""
    factory: str
    """The FAISS factory string that `index` came to."""
    search: dict[str, int]
    """FAISS search parameters, e.g. {"nprobe": 32}."""
    lexical: bool
    counts: Counts
    seconds: dict[str, float]
    """Wall-clock seconds that writing this generation took, by stage."""
    files: dict[str, FileRecord] = field(default_factory=dict)
    fusion: dict[str, Any] | None = None
    """The hybrid's numbers where they were tuned to this index (since format 2), else the default's hold."""
    promise: Promise | None = None
    """Where factory and search parameters were planned (since format 3): they stay as they are."""
    format: int = FORMAT

    def to_json(self) -> str:
        fields = asdict(self)
        fields["passport"] = self.passport.to_json()
        return json.dumps(fields, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str) -> Self:
        """Back from `to_json`. `where` names the index in errors.

        Raises RagkitError where the format is newer than this ragkit knows or the text is damaged.
        """
        try:
            fields: Mapping[str, Any] = json.loads(text)
            found = int(fields["format"])
            if found > FORMAT:
                raise RagkitError(
                    f"the index {where} was made by a newer ragkit ({fields.get('ragkit')}, format {found}; "
                    f"this one reads up to {FORMAT}): upgrade ragkit, or build the index anew"
                )
            values = dict(fields)
            values["passport"] = Passport.from_json(values["passport"])
            values["counts"] = Counts(**values["counts"])
            values["files"] = {name: FileRecord(**record) for name, record in values["files"].items()}
            values["promise"] = Promise(**promise) if (promise := values.get("promise")) else None
            return cls(**values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RagkitError(
                f"the index {where} is damaged: manifest.json ({type(error).__name__}: {error}); "
                "build it again, nothing is encoded twice"
            ) from error
