"""Cells of the tables in eval/results, from what was kept of estimates and comparisons as JSON."""

from typing import Any


def interval(estimate: dict[str, float]) -> str:
    """Mean and 95 % interval of an `Estimate`."""
    return f"{estimate['mean']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


def difference(comparison: dict[str, Any]) -> str:
    """Difference and 95 % interval of a `Comparison`."""
    of = comparison["difference"]
    return f"{of['mean']:+.3f} [{of['low']:+.3f}, {of['high']:+.3f}]"


def tested(comparison: dict[str, Any]) -> str:
    """The difference and its p."""
    return f"{difference(comparison)}, p {comparison['p']:.4f}"
