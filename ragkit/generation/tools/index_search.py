"""Search in another index, as a tool: what it finds is read beside the passages that were there."""

from ragkit.errors import RagkitError
from ragkit.generation.tools.tool import ToolResult
from ragkit.retrieval.index import Index


class IndexSearch:
    """A tool that searches `index` for its argument.

    Hybrid scores are log-odds, so that hits of several indexes can stand in one list (`retrieval.fusion`).

    Args:
        name: what the generator calls it by.
        k: hits a call.
    """

    def __init__(self, index: Index, name: str = "search", k: int = 3) -> None:
        if not name.isidentifier():
            raise RagkitError(f"{name!r} cannot be a tool's name: letters, digits and _ can")
        self.index, self.name, self.k = index, name, k

    def __call__(self, argument: str) -> ToolResult:
        return ToolResult(hits=self.index.search(argument, self.k))
