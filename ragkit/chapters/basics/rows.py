"""How the tables of chapters 1 and 2 write a row."""

from ragkit.chapters.check import Check, Target

HERE = "ragkit.chapters.basics"
PARITY = 1e-10
"""Largest difference to a reference, both in float64 and from the same weights."""


def check(
    row: int, item: str, reference: str, measure: str, *targets: Target, trained: bool = False
) -> Check:
    return Check(row, item, reference, targets, f"{HERE}.{measure}", trained)


def most(name: str, bound: float = PARITY) -> Target:
    return Target(name, at_most=bound)


def least(name: str, bound: float) -> Target:
    return Target(name, at_least=bound)


def none(name: str) -> Target:
    """A count that must be 0."""
    return Target(name, at_least=0, at_most=0)
