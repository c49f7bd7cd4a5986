"""Tools that a generator may call while it answers, and how a call is written.

    what is 123 plus 456? [calculator(123+456)->579]

The generator writes `[calculator(123+456)->`; the tool's result and the closing bracket are put in, and the
answer is written with the call in sight. Schick et al. 2023, Toolformer, section 2.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

from ragkit.retrieval.hit import Hit


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gives back: a text that goes into the call, passages that are read with the others, or
    both."""

    text: str = ""
    hits: list[Hit] = field(default_factory=list)


class Tool(Protocol):
    """Something that answers a call. It must have no effect but its result."""

    name: str
    """What the generator calls it by: letters, digits, _."""

    def __call__(self, argument: str) -> ToolResult:
        """Raises RagkitError for an argument that it cannot serve."""
        ...


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a generator made; `result` is None where the tool could not serve it, for `refusal`."""

    tool: str
    argument: str
    result: str | None = None
    refusal: str = ""

    def __str__(self) -> str:
        return f"{begun(self.tool, self.argument)}{self.result or ''}]"


def begun(tool: str, argument: str) -> str:
    """A call up to where its result goes."""
    return f"[{tool}({argument})->"


def parse_call(text: str, names: Collection[str]) -> tuple[str, str] | None:
    """(tool, argument) where `text` is a call of one of `names`, complete up to its result; else None.

    Tokenizers put spaces around signs: those outside the argument do not count.
    """
    found = re.fullmatch(r"\s*\[\s*(\w+)\s*\((.*)\)\s*-\s*>\s*", text, re.DOTALL)
    return (found[1], found[2].strip()) if found and found[1] in names else None


def may_become_call(text: str, names: Collection[str]) -> bool:
    """Whether `text` is the beginning of a call of one of `names`."""
    written = re.sub(r"\s", "", text)
    openings = [f"[{name}(" for name in names]
    return any(opening.startswith(written) or written.startswith(opening) for opening in openings)
