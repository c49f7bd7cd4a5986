"""How the tables of the chapters write a row."""

from typing import Protocol

from ragkit.chapters.check import Check, Target

PARITY = 1e-10
"""Largest difference to a reference, both in float64 and from the same weights."""


class MakeCheck(Protocol):
    def __call__(
        self, row: int, item: str, reference: str, measure: str, *targets: Target, trained: bool = False
    ) -> Check: ...


def checks_in(package: str) -> MakeCheck:
    """Makes the checks of a chapter whose functions stand in `package`: `measure` is "module.function"."""

    def check(
        row: int, item: str, reference: str, measure: str, *targets: Target, trained: bool = False
    ) -> Check:
        return Check(row, item, reference, targets, f"{package}.{measure}", trained)

    return check


def most(name: str, bound: float = PARITY) -> Target:
    return Target(name, at_most=bound)


def least(name: str, bound: float) -> Target:
    return Target(name, at_least=bound)


def none(name: str) -> Target:
    """A count that must be 0."""
    return Target(name, at_least=0, at_most=0)
