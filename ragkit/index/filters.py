"""Filters over metadata: `lang == "en" and year >= 2020`.

Expressions are rule-engine's (https://zerosteiner.github.io/rule-engine/syntax.html), parsed by it and
never evaluated as Python. Logic is two-valued: a field that a document lacks is null, and a comparison that
its values do not allow (null >= 2020, "x" < 3) is false.
"""

import json
import math
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np
import numpy.typing as npt

from ragkit.errors import RagkitError
from ragkit.index.passages import PassageStore
from ragkit.index.vector_index import Ids

BUILT_IN = ("id", "title")
"""Names that stand for the document's own id and title where its metadata do not define them."""


class Filter:
    """A parsed expression."""

    def __init__(self, expression: str):
        """Raises RagkitError where it is not an expression."""
        import rule_engine

        try:
            context = rule_engine.Context(default_value=None)
            self._root = rule_engine.Rule(expression, context=context).statement.expression
        except (rule_engine.EngineError, RecursionError) as error:
            reason = getattr(error, "message", None) or type(error).__name__
            raise RagkitError(
                f"cannot understand the filter {expression!r} ({reason}): "
                'write it like lang == "en" and year >= 2020'
            ) from error
        self.names: frozenset[str] = frozenset(context.symbols)
        """The fields that it speaks of."""

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a document with these metadata passes."""
        return self._holds(self._root, metadata)

    def _holds(self, node: Any, metadata: Mapping[str, Any]) -> bool:
        from rule_engine import EngineError
        from rule_engine.ast import LogicExpression, UnaryExpression

        if isinstance(node, LogicExpression):
            if node.type == "and":
                return self._holds(node.left, metadata) and self._holds(node.right, metadata)
            return self._holds(node.left, metadata) or self._holds(node.right, metadata)
        if isinstance(node, UnaryExpression) and node.type == "not":
            return not self._holds(node.right, metadata)
        try:
            return bool(node.evaluate(metadata))
        except (EngineError, TypeError, ValueError):
            return False


def matching_rows(expression: str, store: PassageStore) -> Ids:
    """The live passage rows whose document passes, ascending. Raises RagkitError for a bad expression.

    The expression is evaluated once for every distinct set of values of the fields that it names.
    """
    rule = Filter(expression)
    verdicts: dict[str, bool] = {}
    passing: npt.NDArray[np.bool_] = np.zeros(len(store.documents), dtype=np.bool_)
    columns = ["metadata", *(name for name in BUILT_IN if name in rule.names)]
    values = zip(*(store.documents.column(name).to_pylist() for name in columns), strict=True)
    for row, (stored, *own) in enumerate(values):
        fields = dict(zip(columns[1:], own, strict=True)) | json.loads(stored)
        fields = {name: _plain(fields[name]) for name in rule.names & fields.keys()}
        key = json.dumps(fields, sort_keys=True)
        if key not in verdicts:
            verdicts[key] = rule.matches(fields)
        passing[row] = verdicts[key]
    return store.live_rows[passing[store.document_of[store.live_rows]]]


def unknown_fields(expression: str, store: PassageStore) -> dict[str, list[str]]:
    """The names in an expression that no document has a field of, each with the fields most like it."""
    names = Filter(expression).names.difference(BUILT_IN)
    known: set[str] = set(BUILT_IN)
    for stored in store.documents.column("metadata").to_pylist():
        known |= json.loads(stored).keys()
    return {name: get_close_matches(name, sorted(known)) for name in sorted(names - known)}


def _plain(value: Any) -> Any:
    """Not-a-number, which rule-engine does not know, is null."""
    return None if isinstance(value, float) and math.isnan(value) else value
