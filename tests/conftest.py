"""Fixtures that several packages' tests use."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from hashing_encoder import HashingEncoder  # noqa: E402


@pytest.fixture
def hashing_encoder() -> HashingEncoder:
    """A deterministic encoder without a model: see `tests/hashing_encoder.py`."""
    return HashingEncoder()
