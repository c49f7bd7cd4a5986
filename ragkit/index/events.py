"""What a long operation tells its caller while it runs and when it is done."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ragkit.corpus.sources import Skipped

Stage = Literal["reading", "encoding", "lexical", "vectors", "writing"]


@dataclass(frozen=True, slots=True)
class Event:
    """Progress: `done` of `total` (None: not known yet) `unit`s of a stage."""

    stage: Stage
    done: int
    total: int | None
    unit: str


OnEvent = Callable[[Event], None]


@dataclass
class WriteReport:
    """What the last build, add, update or delete of an index object did."""

    added: int = 0
    """Documents that are new."""
    replaced: int = 0
    """Documents that took the place of one with the same id."""
    unchanged: int = 0
    """Documents that were there already, word for word."""
    deleted: int = 0
    unknown: list[str] = field(default_factory=list)
    """Ids to delete that the index does not hold."""
    encoded: int = 0
    """Passages that went through the encoder; the others' vectors were in the cache."""
    skipped: list["Skipped"] = field(default_factory=list)
    """Sources that could not be read, each with its reason."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall-clock seconds by stage."""
