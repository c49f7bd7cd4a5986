"""The index that was built last, remembered by name, so that `ragkit ask "..."` needs no path."""

import os
from pathlib import Path

from ragkit.errors import RagkitError


def _state_file() -> Path:
    """$XDG_STATE_HOME/ragkit/last_index, ~/.local/state by default (XDG Base Directory Specification 0.8)."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "ragkit" / "last_index"


def remember(path: str | Path) -> None:
    """Makes `path` the index that `recall` returns. Without a writable home it is not remembered, which is no
    reason to fail a build."""
    file = _state_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f"{file.name}.{os.getpid()}")
        temporary.write_text(f"{Path(path).resolve()}\n", encoding="utf-8")
        temporary.replace(file)
    except OSError:
        return


def recall() -> Path:
    """The index that was built last. Raises RagkitError where there was none or it is gone."""
    try:
        path = Path(_state_file().read_text(encoding="utf-8").rstrip("\n"))
    except OSError as error:
        raise RagkitError(
            "no index was built yet: name one, or build it with `ragkit index build DOCS`"
        ) from error
    if not path.is_dir():
        raise RagkitError(f"the index built last, {path}, is gone: name one, or build it again")
    return path
