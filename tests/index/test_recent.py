"""The index that was built last."""

from pathlib import Path

import pytest

from ragkit.errors import RagkitError
from ragkit.index.recent import recall, remember


def test_remember_and_recall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with pytest.raises(RagkitError, match="no index was built yet"):
        recall()
    monkeypatch.chdir(tmp_path)
    for name in ("first", "a name with spaces "):
        (tmp_path / name).mkdir()
        remember(name)
        assert recall() == tmp_path / name
    (tmp_path / "a name with spaces ").rmdir()
    with pytest.raises(RagkitError, match="is gone"):
        recall()


def test_a_state_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    remember(tmp_path)
    with pytest.raises(RagkitError, match="no index was built yet"):
        recall()
