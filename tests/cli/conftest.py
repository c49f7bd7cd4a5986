"""The command line with an encoder that needs no model, in this process or in one of its own."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Command, Result
from hashing_encoder import HashingEncoder

from ragkit_cli.main import run

DRIVER = Path(__file__).with_name("driver.py")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with a home of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def ragkit(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """`ragkit(*arguments, stdin="")` runs the command here; encoders are called hashing-NAME, or packaged."""
    monkeypatch.setattr("ragkit.encoders.loading.load_encoder", HashingEncoder.named)

    def command(*arguments: object, stdin: str = "") -> Result:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        before = dict(os.environ)
        try:
            run([str(argument) for argument in arguments])
            code = 0
        except SystemExit as exit:
            code = int(exit.code or 0)
        finally:
            os.environ.clear()
            os.environ.update(before)
        return Result(code, *capfd.readouterr())

    return command


@pytest.fixture
def start(folder: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """Starts the command as a process of its own; see `driver.py`."""

    def command(*arguments: object, **environment: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, str(DRIVER), *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
            env={**os.environ, "XDG_STATE_HOME": str(folder.parent / "state"), **environment},
        )  # fmt: skip

    return command


@pytest.fixture
def notes(folder: Path) -> Path:
    """Three small documents about different things."""
    docs = folder / "notes"
    docs.mkdir()
    (docs / "cache.md").write_text("# Caching\n\nThe cache is turned off with the option no-cache.\n")
    (docs / "loops.txt").write_text(
        "A break statement ends the nearest loop. A continue statement goes on.\n"
    )
    (docs / "history.txt").write_text("The first release came out in 1991.\n")
    return docs


@pytest.fixture
def indexed(ragkit: Command, notes: Path) -> Path:
    """The notes as the index `indexes/notes`."""
    assert ragkit("index", "build", "notes").code == 0
    return Path("indexes/notes")
