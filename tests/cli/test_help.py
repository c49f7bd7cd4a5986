"""Every command explains itself with an example that its own parser takes."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

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


@pytest.mark.parametrize("path, command", ALL, ids=[" ".join(path) for path, _ in ALL])
def test_the_example_parses(path: tuple[str, ...], command: Any) -> None:
    text = " ".join(f"{command.help or ''} {command.epilog or ''}".split())
    example = re.search(r"Example: ragkit (.+)$", text)
    assert example, f"ragkit {' '.join(path)} shows no example"
    words = shlex.split(example[1])
    assert tuple(words[: len(path)]) == path
    command.make_context("ragkit", words[len(path) :])
    undescribed = [
        p.name for p in command.params if not getattr(p, "help", None) and p.name not in ("help", "seed")
    ]
    assert not undescribed


def test_there_are_all_commands() -> None:
    names = {" ".join(path) for path, _ in ALL}
    groups = {
        "": "search ask list demo",
        "index ": "build add update delete compact info verify",
        "eval ": "retrieval qa compare",
        "train ": "reader generator",
    }
    assert {group + name for group, members in groups.items() for name in members.split()} <= names
