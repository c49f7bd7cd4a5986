"""A calculator that is safe to give to a language model: exact arithmetic, nothing evaluated as code."""

import ast
import operator
from collections.abc import Callable
from decimal import Context, Decimal
from fractions import Fraction

from ragkit.errors import RagkitError
from ragkit.generation.tools.tool import ToolResult

LONGEST = 200
"""Characters of an expression."""
LARGEST = 10**60
"""No numerator and denominator on the way may be larger, so that an expression costs microseconds."""
DIGITS = 12
"""Significant ones of a result that is not a whole number."""

OPERATIONS: dict[type[ast.AST], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
SIGNS = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", ",": None})
"""A comma parts thousands."""


class Calculator:
    """The tool `calculator`: + - * / and brackets over decimal numbers, in exact fractions."""

    name = "calculator"

    def __call__(self, argument: str) -> ToolResult:
        return ToolResult(calculate(argument))


def calculate(expression: str) -> str:
    """The value as a whole number or a decimal of `DIGITS` digits.

    Raises RagkitError for anything but arithmetic, division by zero, and numbers that grow too large.
    """
    if len(expression) > LONGEST:
        raise RagkitError(f"an expression of {len(expression)} characters: {LONGEST} at most")
    try:
        value = _value(ast.parse(expression.translate(SIGNS).strip(), mode="eval").body)
    except ZeroDivisionError as error:
        raise RagkitError(f"division by zero in {expression!r}") from error
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise RagkitError(f"not arithmetic: {expression!r}; numbers, + - * / and brackets are") from error
    if value.denominator == 1:
        return str(value.numerator)
    exact = Context(prec=DIGITS)
    return format(exact.divide(Decimal(value.numerator), Decimal(value.denominator)).normalize(), "f")


def _value(node: ast.expr) -> Fraction:
    """Raises ValueError for a node that is no arithmetic."""
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _bounded(Fraction(str(number)))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATIONS:
            return _bounded(OPERATIONS[type(op)](_value(left), _value(right)))
    raise ValueError("not arithmetic")


def _bounded(value: Fraction) -> Fraction:
    if max(abs(value.numerator), value.denominator) > LARGEST:
        raise ValueError("too large")
    return value
