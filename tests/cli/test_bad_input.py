"""What must end in one clear line: no traceback, a non-zero exit, nothing lost."""

from pathlib import Path

import pytest
from command_line import Command, Result


def one_line(result: Result, *words: str, code: int = 1) -> None:
    assert result.code == code
    assert len(result.err.splitlines()) == 1, result.err
    assert result.err.startswith("ragkit: ") and "Traceback" not in result.err
    for word in words:
        assert word in result.err


def test_no_such_source_before_a_model_is_loaded(ragkit: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragkit.encoders.loading.load_encoder", lambda *_: pytest.fail("loaded"))
    one_line(ragkit("index", "build", "nowhere"), "nowhere", "no such file")


def test_an_empty_folder(ragkit: Command, folder: Path) -> None:
    (folder / "empty").mkdir()
    one_line(ragkit("index", "build", "empty"), "empty")


def test_broken_jsonl_names_file_and_line(ragkit: Command, folder: Path) -> None:
    (folder / "records.jsonl").write_text('{"id": "a", "text": "fine"}\n{"id": "b", "text": \n')
    one_line(ragkit("index", "build", "records.jsonl"), "records.jsonl:2")


def test_an_id_that_comes_twice(ragkit: Command, folder: Path) -> None:
    (folder / "records.jsonl").write_text('{"id": "a", "text": "one"}\n{"id": "a", "text": "two"}\n')
    one_line(ragkit("index", "build", "records.jsonl"), "'a'", ":1", ":2")


def test_questions_that_are_none(ragkit: Command, indexed: Path) -> None:
    one_line(ragkit("search", indexed, "   "), "empty")
    one_line(ragkit("search", indexed, "loop", "-k", 0), "k is 0")
    one_line(ragkit("search", indexed, "loop", "--filter", "year >="), "year >=")
    one_line(ragkit("search", "one", "two", "three"), "quotes")


def test_unknown_engines_and_encoders(ragkit: Command, notes: Path) -> None:
    one_line(ragkit("index", "build", "notes", "--index", "Flatt"), "Flatt")
    assert not Path("indexes/notes/current.json").exists()


def test_no_index(ragkit: Command, folder: Path) -> None:
    one_line(ragkit("search", "a question"), "ragkit index build")
    one_line(ragkit("search", "nowhere", "a question"), "nowhere")
    (folder / "photos").mkdir()
    one_line(ragkit("search", "photos", "a question"), "not an index")


@pytest.mark.parametrize("damage", ["missing", "truncated", "tampered"])
def test_a_damaged_index(ragkit: Command, indexed: Path, damage: str) -> None:
    for path in sorted(next(Path(indexed).glob("generations/*")).rglob("*")):
        if not path.is_file() or path.name == "manifest.json":
            continue
        content = path.read_bytes()
        if damage == "missing":
            path.unlink()
        elif damage == "truncated":
            path.write_bytes(content[:-1])
        else:
            path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        one_line(ragkit("index", "verify", indexed), "problem" if damage == "tampered" else "damaged")
        path.write_bytes(content)
    assert ragkit("search", indexed, "loop").code == 0


def test_an_index_of_a_newer_ragkit(ragkit: Command, indexed: Path) -> None:
    import hashlib
    import json

    manifest = next(Path(indexed).glob("generations/*/manifest.json"))
    content = json.dumps(json.loads(manifest.read_text()) | {"format": 999, "ragkit": "99.0"})
    manifest.write_text(content)
    pointer = Path(indexed) / "current.json"
    fields = json.loads(pointer.read_text()) | {"manifest": hashlib.sha256(content.encode()).hexdigest()}
    pointer.write_text(json.dumps(fields))
    one_line(ragkit("search", indexed, "loop"), "newer", "99.0")


def test_another_encoder(ragkit: Command, notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ragkit("index", "build", "notes", "--encoder", "hashing-a").code == 0
    from hashing_encoder import HashingEncoder

    # The model behind the name has been replaced by one of the same dimension.
    monkeypatch.setattr("ragkit.encoders.loading.load_encoder", lambda *_, **__: HashingEncoder("b"))
    one_line(ragkit("search", "loop"), "hashing-a", "hashing-b")
    assert ragkit("search", "loop", "--mode", "lexical").code == 0


def test_models_that_are_not_there(ragkit: Command, indexed: Path) -> None:
    one_line(ragkit("ask", indexed, "a question", "--generator", "models/nowhere"), "models/nowhere")
    one_line(ragkit("ask", indexed, "a question", "--reader-model", "some/model"), "some/model")
    one_line(ragkit("ask", indexed, "a question", "--generator", "nowhere.gguf"), "nowhere.gguf")
    one_line(ragkit("ask", indexed, "-"), "standard input")


def test_a_reader_has_no_beams(ragkit: Command, indexed: Path) -> None:
    for option, value in (("--generator", "packaged"), ("--beams", "2"), ("--method", "rag-token")):
        for reads in (["--reader"], ["--reader-model", "packaged"]):
            refused = ragkit("ask", indexed, "a question", *reads, option, value)
            assert refused.code == 2
            assert option in refused.err and "not both" in refused.err


def test_question_sets_that_are_none(ragkit: Command, indexed: Path, folder: Path) -> None:
    one_line(ragkit("eval", "retrieval", indexed, "nowhere"), "nowhere")
    one_line(ragkit("eval", "retrieval", indexed, "demo:"), "none of the relevant documents")
    (folder / "broken.json").write_text("{")
    one_line(ragkit("eval", "qa", indexed, "broken.json"), "broken.json")
    (folder / "a.run").write_text("q1 Q0 d1\n")
    one_line(ragkit("eval", "retrieval", "a.run", "demo:"), "a.run:1")
    one_line(ragkit("eval", "compare", "a.run", "b.json"), "run file")


USAGE = [
    ("nonsense",),
    ("search",),
    ("index", "build"),
    ("search", "x", "--mode", "fuzzy"),
    ("search", "x", "-k", "two"),
    ("eval", "retrieval", "x", "demo:", "-k", "0"),
    ("list", "things"),
    ("ask", "x", "--method", "magic"),
    ("ask", "x", "--tool", "abacus"),
]


@pytest.mark.parametrize("arguments", USAGE, ids=" ".join)
def test_usage_errors_exit_with_2(ragkit: Command, indexed: Path, arguments: tuple[str, ...]) -> None:
    result = ragkit(*arguments)
    assert result.code == 2 and "Traceback" not in result.err and result.err.strip()


def test_a_fault_of_ours_is_one_line_too(
    ragkit: Command, indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("ragkit.retrieval.index.Index.search", broken)
    one_line(ragkit("search", "loop"), "RAGKIT_DEBUG", "ZeroDivisionError")
