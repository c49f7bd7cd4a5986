"""Sizes and times as people write them: 2GB, 10ms."""

import re

import typer

BYTES = {
    "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0}


def size(text: str) -> int:
    """Bytes, from "500MB" or "1.5 GiB". Raises BadParameter for anything else."""
    return int(_quantity(text, BYTES, "a size like 500MB or 2GB (B, kB, MB, GB, TB; KiB, MiB, GiB, TiB)"))


def duration(text: str) -> float:
    """Seconds, from "10ms" or "0.5 s". Raises BadParameter for anything else."""
    return _quantity(text, SECONDS, "a time like 10ms or 0.5s (us, ms, s)")


def _quantity(text: str, units: dict[str, float] | dict[str, int], expected: str) -> float:
    found = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*([a-zµ]+)", text.strip().lower())
    if found is None or found[2] not in units or not float(found[1]):
        raise typer.BadParameter(f"{text!r} is not {expected}")
    return float(found[1]) * units[found[2]]
