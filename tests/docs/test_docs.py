"""The handbook cannot rot unseen: links lead somewhere, and the commands, options and names in it exist."""

import ast
import re
import shlex
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "indexes" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """What `page.md#anchor` can point to: GitHub's spelling of the headings."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def ragkit_commands(page: Path) -> Iterator[list[str]]:
    """The words after `ragkit` on each command line of the page's bash blocks."""
    for block in blocks(page, "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
            lexer.whitespace_split = True
            words = list(lexer)
            while words and re.fullmatch(r"[A-Z_]+=.*|\$", words[0]):  # HF_HUB_OFFLINE=1 ragkit ...
                words.pop(0)
            if words and words[0] == "ragkit":
                yield list(takewhile(lambda word: not re.fullmatch(r"[|&;<>]+", word), words[1:]))


def check_command(words: list[str]) -> None:
    """Raises where there is no such command or option, an option lacks its value, or words are left over."""
    import typer

    from ragkit_cli.main import app

    command: Any = typer.main.get_command(app)
    context: Any = None
    while True:
        context = command.make_context(command.name, [], parent=context, resilient_parsing=True)
        context.resilient_parsing = False
        _, words, _ = command.make_parser(context).parse_args(list(words))
        if not hasattr(command, "commands"):
            break
        found = command.get_command(context, words[0])
        assert found is not None, f"no command {words[0]!r}"
        command, words = found, words[1:]
    assert not words, f"too many words: {words}"


@EVERY_PAGE
def test_relative_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{target}: no such file"
        assert not anchor or anchor in anchors(linked), f"{target}: no such heading"


@EVERY_PAGE
def test_commands_and_options_exist(page: Path) -> None:
    for words in ragkit_commands(page):
        try:
            check_command(words)
        except Exception as error:
            pytest.fail(f"ragkit {shlex.join(words)}: {error}")


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "architecture.md"])
def test_python_blocks_parse_and_name_what_exists(page: Path) -> None:
    """The architecture's blocks are left out: they list signatures."""
    import ragkit

    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "ragkit":
                assert hasattr(ragkit, node.attr), f"ragkit.{node.attr} does not exist"


@pytest.mark.parametrize("words", [["conjure"], ["ask", "--no-such-option", "why?"], ["index", "conjure"]])
def test_the_check_notices_what_does_not_exist(words: list[str]) -> None:
    with pytest.raises(Exception, match=r"(?i)no (such )?(command|option)"):
        check_command(words)


def test_the_readme_begins_with_the_two_commands() -> None:
    first = blocks(ROOT / "README.md", "bash")[0]
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make demo", "make test"]
