"""Every command explains itself with an example that its own parser takes."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from command_line import Command

from ragkit_cli.main import app

ROOT: Any = typer.main.get_command(app)


def commands(command: Any = ROOT, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    children = getattr(command, "commands", None)
    if not children:
        yield path, command
        return
    for name, child in children.items():
        yield from commands(child, (*path, name))


ALL = list(commands())


def example(path: tuple[str, ...], command: Any) -> list[str]:
    """The words after `ragkit` of the example that the command's help shows."""
    text = " ".join(f"{command.help or ''} {command.epilog or ''}".split())
    found = re.search(r"Example: ragkit (.+)$", text)
    assert found, f"ragkit {' '.join(path)} shows no example"
    return shlex.split(found[1])


@pytest.mark.parametrize("path, command", ALL, ids=[" ".join(path) for path, _ in ALL])
def test_the_example_parses(path: tuple[str, ...], command: Any) -> None:
    words = example(path, command)
    assert tuple(words[: len(path)]) == path
    command.make_context("ragkit", words[len(path) :])
    undescribed = [
        p.name for p in command.params if not getattr(p, "help", None) and p.name not in ("help", "seed")
    ]
    assert not undescribed


def test_the_examples_of_indexing_and_searching_run(ragkit: Command, folder: Path) -> None:
    (folder / "README.md").write_text("# Notes\n\nA break statement ends the nearest loop.\n")
    wanted = [f"index {name}" for name in "build add update info verify delete compact".split()]
    examples = {" ".join(path): example(path, command) for path, command in ALL}
    for name in [*wanted, "search", "list"]:
        result = ragkit(*examples[name])
        assert result.code == 0, f"ragkit {shlex.join(examples[name])}: {result.err}"
        assert result.out.strip()


def test_there_are_all_commands() -> None:
    names = {" ".join(path) for path, _ in ALL}
    groups = {
        "": "search ask list demo",
        "index ": "build add update delete compact info verify",
        "eval ": "retrieval qa compare",
        "train ": "reader generator",
    }
    assert {group + name for group, members in groups.items() for name in members.split()} <= names
