"""Fixtures that several packages' tests use."""

import os
import sys
from pathlib import Path

import pytest

# Before torch and the tokenizers are imported: test workers share the cores, and no test needs a hub.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, str(Path(__file__).parent))

from hashing_encoder import HashingEncoder


@pytest.fixture
def hashing_encoder() -> HashingEncoder:
    """A deterministic encoder without a model: see `tests/hashing_encoder.py`."""
    return HashingEncoder()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data sets: $RAGKIT_DATA, else `shared/data` beside the repository."""
    folder = Path(os.environ.get("RAGKIT_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("no data sets here: set RAGKIT_DATA to their folder")
    return folder
