"""What is damaged is named in one line, whatever it is, and a newer format is refused."""

import hashlib
import json
from pathlib import Path

import pytest
from hashing_encoder import HashingEncoder

from ragkit.corpus.document import Document
from ragkit.errors import RagkitError
from ragkit.index.generations import POINTER, Generations, write_synced
from ragkit.index.manifest import FORMAT
from ragkit.index.stored import StoredIndex

FILES = [
    "current.json",
    "generations/000001/manifest.json",
    "generations/000001/documents.arrow",
    "generations/000001/passages.arrow",
    "generations/000001/deleted.arrow",
    "generations/000001/vectors.faiss",
    "generations/000001/lexical/data.csc.index.npy",
    "generations/000001/lexical/indices.csc.index.npy",
    "generations/000001/lexical/indptr.csc.index.npy",
    "generations/000001/lexical/params.index.json",
    "generations/000001/lexical/vocab.index.json",
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("built") / "index"
    documents = [Document(f"d{i}", f"some words {i}", "", {"year": i}) for i in range(30)]
    StoredIndex.build(documents, path, encoder=HashingEncoder())
    return path


def use(path: Path) -> None:
    """Everything that reads a file."""
    index = StoredIndex.open(path, HashingEncoder())
    index.passages([0, 29])
    index.allowed("year > 3")
    index.lexical_candidates(["words"], 3)
    index.dense_candidates(HashingEncoder().encode_questions(["words"]), 3)


def test_every_file_is_known_to_this_test(built: Path) -> None:
    files = {path.relative_to(built).as_posix() for path in built.rglob("*") if path.is_file()}
    assert {name for name in files if not name.startswith(("cache/", "writer.lock"))} == set(FILES)
    use(built)


@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "changed"])
@pytest.mark.parametrize("name", FILES)
def test_damaged_files(built: Path, name: str, damage: str) -> None:
    path = built / name
    content = path.read_bytes()
    middle = len(content) // 2
    try:
        if damage == "missing":
            path.unlink()
        else:
            changed = content[:middle] + bytes([content[middle] ^ 0x55]) + content[middle + 1 :]
            path.write_bytes({"truncated": content[:middle], "empty": b"", "changed": changed}[damage])
        with pytest.raises(RagkitError) as error:
            use(built)
        message = str(error.value)
        assert "\n" not in message and str(built) in message and "again" in message
        assert Path(name).name in message
    finally:
        path.write_bytes(content)
    use(built)


def test_a_newer_format_is_refused(built: Path) -> None:
    pointer, manifest = built / POINTER, built / "generations/000001/manifest.json"
    before = pointer.read_text(), manifest.read_text()
    try:
        fields = json.loads(before[1]) | {"format": FORMAT + 1, "ragkit": "99.0", "a new field": 1}
        manifest.write_text(json.dumps(fields))
        checksum = hashlib.sha256(manifest.read_bytes()).hexdigest()
        pointer.write_text(json.dumps({"generation": "000001", "manifest": checksum}))
        with pytest.raises(RagkitError, match=rf"newer ragkit \(99.0, format {FORMAT + 1}.*upgrade"):
            StoredIndex.open(built)
    finally:
        pointer.write_text(before[0])
        manifest.write_text(before[1])


def test_an_unfinished_first_build_says_so(tmp_path: Path) -> None:
    (tmp_path / "generations" / "000001").mkdir(parents=True)
    with pytest.raises(RagkitError, match="never finished"):
        StoredIndex.open(tmp_path)


def test_only_what_nobody_reads_is_cleared(tmp_path: Path) -> None:
    path = tmp_path / "index"
    index = StoredIndex.build([Document("a", "text")], path, encoder=HashingEncoder())
    reader = Generations(path).current()
    index.update([Document("a", "other")])
    (path / "generations" / "000009").mkdir()  # left behind by a build that was killed
    Generations(path).collect()
    assert sorted(p.name for p in (path / "generations").iterdir()) == ["000001", "000002"]
    del reader
    Generations(path).collect()
    assert [p.name for p in (path / "generations").iterdir()] == ["000002"]


def test_small_files_are_replaced_atomically(tmp_path: Path) -> None:
    write_synced(tmp_path / "a.json", "1")
    write_synced(tmp_path / "a.json", "2")
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"] and (tmp_path / "a.json").read_text() == "2"
