import csv
import gzip
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from ragkit.corpus import files
from ragkit.corpus.sources import Skipped, read_documents
from ragkit.errors import RagkitError


def write_jsonl(path: Path, *records: Any) -> Path:
    text = "".join(json.dumps(record) + "\n" for record in records).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def ids(*sources: str | Path, **options: Any) -> list[str]:
    return [document.id for document in read_documents(sources, **options)]


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """b.txt, a.md, sub/c.rst, and what is left aside: hidden ones, another type, a link out of the folder."""
    folder = tmp_path / "notes"
    (folder / "sub").mkdir(parents=True)
    (folder / ".git").mkdir()
    outside = tmp_path / "secret.txt"
    for path in ("b.txt", "a.md", "sub/c.rst", ".hidden.txt", ".git/d.txt", "code.bin", "../secret.txt"):
        (folder / path).write_text(f"text of {path}")
    (folder / "link.txt").symlink_to(outside)
    (folder / "up").symlink_to(tmp_path, target_is_directory=True)
    return folder


def test_a_folder_is_read_in_order_without_hidden_files_and_links_out_of_it(notes: Path) -> None:
    skipped: list[Skipped] = []
    assert ids(notes, on_skip=skipped.append) == ["a.md", "b.txt", "sub/c.rst"]
    assert [(Path(item.source).name, item.reason) for item in skipped] == [
        ("link.txt", "a link that leads out of the folder")
    ]


def test_globs_and_files(notes: Path) -> None:
    assert ids(notes / "**" / "*.rst") == ["sub/c.rst"]
    assert ids(notes / "[ab].*", notes / "sub" / "c.rst") == ["a.md", "b.txt", "c.rst"]


def test_unreadable_files_are_skipped_and_counted_and_strict_refuses_them(notes: Path) -> None:
    (notes / "link.txt").unlink()
    (notes / "half.txt.gz").write_bytes(gzip.compress(b"word " * 1000)[:30])
    (notes / "picture.txt").write_bytes(b"\x89PNG\0\xff")
    write_jsonl(notes / "half.jsonl.gz", *({"id": n, "text": "x" * n} for n in range(99)))
    packed = (notes / "half.jsonl.gz").read_bytes()
    (notes / "half.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    skipped: list[Skipped] = []
    assert ids(notes, on_skip=skipped.append) == ["a.md", "b.txt", "sub/c.rst"]
    assert [Path(item.source).name for item in skipped] == ["half.jsonl.gz", "half.txt.gz", "picture.txt"]
    with pytest.raises(RagkitError, match=r"half\.jsonl\.gz: .*ends too early"):
        ids(notes, strict=True)


def test_nothing_to_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RagkitError, match="nothing to read"):
        ids(tmp_path / "empty")
    with pytest.raises(RagkitError, match="nothing to read"):
        ids()
    (tmp_path / "bad.txt").write_bytes(b"\0")
    with pytest.raises(RagkitError, match=r"bad\.txt: binary"):
        ids(tmp_path / "bad.txt")


def test_a_missing_source_is_told_before_the_others_are_read(notes: Path) -> None:
    with pytest.raises(RagkitError, match="no such file"):
        next(read_documents([notes, notes / "none"]))
    with pytest.raises(RagkitError, match="no file matches"):
        next(read_documents([notes, notes / "*.pdf"]))


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz"])
def test_jsonl(tmp_path: Path, name: str) -> None:
    path = write_jsonl(
        tmp_path / name,
        {"id": 7, "title": "T", "text": "one", "lang": "en", "metadata": {"year": 2021}},
        {"_id": "b", "contents": "two"},
        {"docid": "c", "body": "three", "title": None},
        {"content": "four"},
    )
    one, two, three, four = read_documents([path])
    assert (one.id, one.text, one.title, one.metadata) == ("7", "one", "T", {"lang": "en", "year": 2021})
    assert [document.id for document in (two, three, four)] == ["b", "c", f"{name}:4"]
    assert (three.text, three.title) == ("three", "")
    assert not any(document.splittable for document in (one, two, three, four))


@pytest.mark.parametrize(
    "line",
    ['{"id": "x", "text": "cut', "[1]", '{"id": "x"}', '{"text": 3}', "[" * 9999, '{"text": "\\ud800"}'],
)
def test_broken_jsonl_names_file_and_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('{"id": "a", "text": "good"}\n\n' + line + "\n")
    with pytest.raises(RagkitError, match=r"r\.jsonl:3: ") as caught:
        ids(path)
    assert "\n" not in str(caught.value)


def test_jsonl_that_is_not_utf8_or_without_line_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'{"text": "a"}\n{"text": "\xff"}\n')
    with pytest.raises(RagkitError, match=r"r\.jsonl:2: .*UTF-8"):
        ids(path)
    monkeypatch.setattr(files, "MAX_LINE_BYTES", 2**20)
    (tmp_path / "bomb.jsonl.gz").write_bytes(gzip.compress(b" " * 2**21))
    with pytest.raises(RagkitError, match=r"bomb\.jsonl\.gz:1: .*longer than 1 MiB"):
        ids(tmp_path / "bomb.jsonl.gz")


def test_duplicate_ids_name_both_places(tmp_path: Path) -> None:
    one = write_jsonl(tmp_path / "1.jsonl", {"id": "a", "text": "x"}, {"id": "b", "text": "x"})
    two = write_jsonl(tmp_path / "2.jsonl", {"id": "c", "text": "x"}, {"id": "b", "text": "y"})
    with pytest.raises(RagkitError, match=r"'b' comes twice: .*1\.jsonl:2 and .*2\.jsonl:2"):
        ids(one, two)


def test_a_beir_folder_is_its_corpus(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "corpus.jsonl.gz", {"_id": "d1", "title": "T", "text": "x"})
    write_jsonl(tmp_path / "queries.jsonl", {"_id": "q1", "text": "?"})
    assert ids(tmp_path) == ["d1"]


@pytest.mark.parametrize("packed", [False, True])
def test_passages_of_dpr(tmp_path: Path, packed: bool) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter="\t")
    text = 'said "yes"\tand\nleft'
    writer.writerows([["id", "text", "title"], ["1", text, "Aaron"], ["2", "plain", "B"]])
    path = tmp_path / ("psgs_w100.tsv.gz" if packed else "psgs_w100.tsv")
    path.write_bytes(gzip.compress(buffer.getvalue().encode()) if packed else buffer.getvalue().encode())
    first, second = read_documents([path])
    assert (first.id, first.text.replace("\r", ""), first.title) == ("1", text, "Aaron")
    assert (second.id, second.text, second.splittable) == ("2", "plain", False)


def test_a_tsv_of_something_else_and_a_short_row(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text("label\tvalue\n1\t2\n")
    with pytest.raises(RagkitError, match="id, text, title"):
        ids(path)
    path.write_text("id\ttext\ttitle\n1\tx\ty\n2\n")
    with pytest.raises(RagkitError, match=r"t\.tsv:3: "):
        ids(path)


def squad(*contexts: str) -> dict[str, Any]:
    return {"data": [{"title": "Some_town", "paragraphs": [{"context": c, "qas": []} for c in contexts]}]}


def test_squad_paragraphs_once_each_with_ids_that_do_not_depend_on_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(squad("one", "two", "one")))
    (tmp_path / "b.json").write_text(json.dumps(squad("zero", "two")))
    a, b = list(read_documents([tmp_path / "a.json"])), list(read_documents([tmp_path / "b.json"]))
    assert [(document.text, document.title, document.splittable) for document in a] == [
        ("one", "Some town", False),
        ("two", "Some town", False),
    ]
    assert a[1].id == b[1].id != b[0].id
    (tmp_path / "c.json").write_text('{"data": [\n{"title": 1')
    with pytest.raises(RagkitError, match=r"c\.json:2: broken JSON"):
        ids(tmp_path / "c.json")
    (tmp_path / "d.json").write_text('{"a": 1}')
    with pytest.raises(RagkitError, match="not SQuAD"):
        ids(tmp_path / "d.json")


def test_data_sets_by_local_path(tmp_path: Path) -> None:
    import datasets

    rows = datasets.Dataset.from_dict({"id": ["a", "b"], "text": ["one", "two"], "year": [1, 2]})
    rows.to_parquet(str(tmp_path / "rows.parquet"))
    rows.save_to_disk(str(tmp_path / "saved"))
    datasets.DatasetDict({"x": rows, "y": rows.select([0])}).save_to_disk(str(tmp_path / "splits"))
    for source in ("rows.parquet", "saved"):
        one, two = read_documents([f"hf:{tmp_path / source}"])
        assert (one.id, one.text, one.metadata, one.splittable) == ("a", "one", {"year": 1}, False)
        assert two.id == "b"
    assert ids(f"hf:{tmp_path / 'splits'}:y") == ["a"]
    with pytest.raises(RagkitError, match="no split 'train'; there are x, y"):
        ids(f"hf:{tmp_path / 'splits'}")


def test_a_data_set_that_no_hub_can_give() -> None:
    with pytest.raises(RagkitError, match="hf:nobody/nothing: no data set could be loaded") as caught:
        ids("hf:nobody/nothing")
    assert "\n" not in str(caught.value)


def test_the_demo_is_split_and_titled() -> None:
    documents = {document.id: document for document in read_documents(["demo:"])}
    assert documents["if"].title == 'The "if" statement'
    assert all(document.splittable and document.text.strip() for document in documents.values())


def test_memory_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        path = tmp_path / f"{count}.jsonl.gz"
        write_jsonl(path, *({"id": str(n), "text": "x" * 5_000} for n in range(count)))
        tracemalloc.start()
        for _ in read_documents([path]):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(10)  # what is imported on first use
    assert peak(2_000) - peak(200) < 1_800 * 200  # of 5,000 bytes a document, the id's hash stays


@pytest.mark.parametrize(("name", "count"), [("squad", 20_958), ("clapnq", 596), ("scifact", 5_183)])
def test_public_sets(shared_data: Path, name: str, count: int) -> None:
    assert sum(1 for _ in read_documents([shared_data / name], strict=True)) == count
