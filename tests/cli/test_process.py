"""The command as a process: signals, pipes, two at once, what it imports."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Command

Start = Callable[..., "subprocess.Popen[str]"]
EXECUTABLE = Path(sys.executable).with_name("ragkit")


def test_the_installed_executable(folder: Path) -> None:
    helped = subprocess.run([EXECUTABLE, "--help"], capture_output=True, text=True, check=True)
    assert "index" in helped.stdout and "ask" in helped.stdout
    failed = subprocess.run([EXECUTABLE, "index", "build", "nowhere"], capture_output=True, text=True)
    assert failed.returncode == 1 and "Traceback" not in failed.stderr
    assert [line for line in failed.stderr.splitlines() if line] == [
        "ragkit: nowhere: no such file or folder"
    ]  # fmt: skip


def test_ctrl_c_leaves_the_old_index_and_the_build_goes_on(
    ragkit: Command, start: Start, notes: Path
) -> None:
    assert ragkit("index", "build", "notes").code == 0
    (notes / "more.txt").write_text("Zebras have stripes.\n")
    for number in range(4):
        (notes / f"more{number}.txt").write_text(f"Animal number {number} is here.\n")
    process = start("index", "build", "notes", PAUSE="60")
    assert process.stdout is not None and process.stdout.readline() == "encoding\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err and "stopped" in err
    assert len(ragkit("search", "zebras", "-k", 20, "--json").json["hits"]) == 3
    assert ragkit("index", "build", "notes").code == 0
    assert len(ragkit("search", "zebras", "-k", 20, "--json").json["hits"]) == 8


def test_two_builds_into_one_folder(ragkit: Command, start: Start, notes: Path) -> None:
    process = start("index", "build", "notes", PAUSE="60")
    assert process.stdout is not None and process.stdout.readline() == "encoding\n"
    second = ragkit("index", "build", "notes")
    process.kill()
    process.communicate()
    assert second.code == 1 and len(second.err.splitlines()) == 1
    assert ragkit("index", "build", "notes").code == 0


def test_a_closed_pipe_is_no_error(indexed: Path, start: Start) -> None:
    process = start("search", indexed, "loop", "-k", "3")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    err = process.stderr.read()
    process.wait(timeout=60)
    assert "Traceback" not in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_one_line(indexed: Path, folder: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [EXECUTABLE, "search", indexed, "loop", "--mode", "lexical"],
            stdout=full, stderr=subprocess.PIPE, text=True, cwd=folder,
        )  # fmt: skip
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "no space left" in done.stderr


def test_lexical_search_does_without_torch(indexed: Path, folder: Path) -> None:
    code = (
        "import sys\nfrom ragkit_cli.main import run\n"
        "try:\n    run(sys.argv[1:])\nexcept SystemExit as exit:\n    assert not exit.code, exit.code\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'datasets'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    arguments = ["search", str(indexed), "nearest loop", "--mode", "lexical"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=folder, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    assert "loops.txt" in done.stdout
