"""The folder of the tables, and what the last run of a program printed into it."""

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"


def last_run(kept: Path) -> Any:
    """What a JSON file of `RESULTS` holds; {} where there is none yet."""
    return json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
