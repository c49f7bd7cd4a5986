"""An index's life: built, searched, changed, and what it refuses."""

import errno
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hashing_encoder import HashingEncoder

from ragkit.corpus.document import Document
from ragkit.corpus.splitting import Splitting
from ragkit.errors import RagkitError
from ragkit.index import writing
from ragkit.index.events import Event
from ragkit.index.generations import Generations
from ragkit.index.lock import LOCK_FILE, writer_lock
from ragkit.index.stored import StoredIndex
from ragkit.index.vector_index import brute_force

WHOLE = Splitting(unit="none")


def documents(n: int = 40, version: str = "") -> list[Document]:
    return [
        Document(
            f"d{i}",
            f"topic{i % 7} text{i} {version} and more words",
            f"title {i % 3}",
            {"lang": ("en", "de")[i % 2], "year": 2000 + i % 30} if i % 5 else {},
        )
        for i in range(n)
    ]


@pytest.fixture
def index(tmp_path: Path, hashing_encoder: HashingEncoder) -> StoredIndex:
    return StoredIndex.build(documents(), tmp_path / "index", encoder=hashing_encoder, splitting=WHOLE)


def ids(index: StoredIndex, rows: np.ndarray) -> list[str]:
    return [passage.id for passage in index.passages(rows[rows >= 0])]


def test_build_open_search(index: StoredIndex, hashing_encoder: HashingEncoder) -> None:
    opened = StoredIndex.open(index.path, hashing_encoder)
    assert len(opened) == len(index) == 40
    assert opened.verify() == []
    questions = ["topic3 text10", "title 2 text5"]
    vectors = hashing_encoder.encode_questions(questions)
    passages = hashing_encoder.encode_passages([(d.title, d.text) for d in documents()])
    exact = brute_force(passages, np.arange(40), vectors, 6)
    scores, rows = opened.dense_candidates(vectors, 6)
    np.testing.assert_array_equal(rows, exact[1])
    np.testing.assert_allclose(scores, exact[0], atol=1e-6)
    assert ids(opened, opened.lexical_candidates(questions, 1)[1][:, 0]) == ["d10", "d5"]
    passage = opened.passage(10)
    document = documents()[10]
    assert (passage.id, passage.document_id, passage.title) == ("d10", "d10", "title 1")
    assert document.text[passage.start : passage.end] == passage.text
    assert passage.metadata == document.metadata


def test_passages_come_back_as_they_were_cut(tmp_path: Path, hashing_encoder: HashingEncoder) -> None:
    from ragkit.corpus.splitting import split

    text = "Ünïcode 🙂 words, " * 30 + "\n\n" + "𝔘 end. " * 20
    document = Document("a/b.txt", text, "Ti\ntle", {"tags": ["x", "y"], "n": 1.5, "none": None})
    splitting = Splitting(size=12, overlap=4)
    index = StoredIndex.build([document], tmp_path / "i", encoder=hashing_encoder, splitting=splitting)
    assert index.passages(range(len(index))) == split(document, splitting)
    assert index.verify() == []


def test_more_than_there_is(index: StoredIndex, hashing_encoder: HashingEncoder) -> None:
    vectors = hashing_encoder.encode_questions(["topic1"])
    for scores, rows in (index.dense_candidates(vectors, 1000), index.lexical_candidates(["topic1"], 1000)):
        assert rows.shape == scores.shape == (1, 1000)
        assert sorted(rows[0, :40].tolist()) == list(range(40))
        assert (rows[0, 40:] == -1).all() and np.isneginf(scores[0, 40:]).all()


@pytest.mark.parametrize("factory", ["Flat", "IVF4,Flat", "HNSW8", "SQ8", "RaBitQ"])
def test_filters_are_exact(tmp_path: Path, hashing_encoder: HashingEncoder, factory: str) -> None:
    index = StoredIndex.build(
        documents(), tmp_path / "i", encoder=hashing_encoder, splitting=WHOLE, factory=factory
    )
    index.delete(["d1", "d3", "d4"])
    allowed = index.allowed('lang == "de" and year >= 2010')
    expected = {
        d.id
        for d in documents()
        if d.metadata.get("lang") == "de" and d.metadata["year"] >= 2010 and d.id not in ("d1", "d3", "d4")
    }
    assert allowed is not None and set(ids(index, allowed)) == expected
    vectors = hashing_encoder.encode_questions(["topic1 text9"])
    for k in (1, len(expected), 40):
        for rows in (
            index.dense_candidates(vectors, k, allowed)[1],
            index.lexical_candidates(["topic1 text9"], k, allowed)[1],
        ):
            found = ids(index, rows[0])
            assert set(found) <= expected and len(found) == len(set(found)) == min(k, len(expected))
    assert index.allowed(None) is None
    assert len(index.allowed("nothing == 1")) == 0  # type: ignore[arg-type]


def test_unchanged_passages_are_never_encoded_again(tmp_path: Path, hashing_encoder: HashingEncoder) -> None:
    def encoded() -> list[str]:
        found, hashing_encoder.encoded = sorted(hashing_encoder.encoded), []
        return found

    build = {"encoder": hashing_encoder, "splitting": WHOLE}
    index = StoredIndex.build(documents(), tmp_path / "i", **build)  # type: ignore[arg-type]
    assert len(encoded()) == 40
    index.update(documents())
    assert encoded() == [] and index.last_write and index.last_write.unchanged == 40
    changed = documents()
    changed[7] = Document("d7", "something else", "title 1")
    changed[8] = Document(
        "d8", changed[8].text, changed[8].title, {"lang": "fr"}
    )  # same vector, other metadata
    index.update([*changed, Document("new", "a new one")])
    assert encoded() == [" a new one", "title 1 something else"]
    assert index.last_write.replaced == 2 and index.last_write.added == 1
    assert index.last_write.encoded == 2
    assert len(index.allowed('lang == "fr"')) == 1  # type: ignore[arg-type]
    index.delete(["d7"])
    index.compact()
    assert encoded() == []
    index = StoredIndex.build(changed[10:], tmp_path / "i", **build)  # type: ignore[arg-type]
    assert encoded() == [] and len(index) == 30
    again = Document("twice", changed[20].text, changed[20].title)  # another document with the same text
    index.add([again])
    assert encoded() == []


def test_deleted_passages_never_come_back(index: StoredIndex, hashing_encoder: HashingEncoder) -> None:
    gone = [f"d{i}" for i in range(0, 40, 3)]
    assert index.delete([*gone, "nobody", "d0"]) == len(gone)
    assert index.last_write and index.last_write.unknown == ["nobody"]
    index.update([Document("d1", "new words", "", {"lang": "en"})])
    for step in ("before", "after"):
        assert len(index) == 40 - len(gone) and index.verify() == [], step
        vectors = hashing_encoder.encode_questions(["topic0 text0"])
        everything = [
            index.dense_candidates(vectors, 100)[1],
            index.lexical_candidates(["topic0 text0 title"], 100)[1],
        ]
        for rows in everything:
            found = ids(index, rows[0])
            assert len(found) == len(index) and not set(found) & set(gone), step
        assert "text1 " not in " ".join(p.text for p in index.passages(everything[0][0][: len(index)]))
        index.compact()
    assert index.info().counts.deleted_passages == 0
    with pytest.raises(IndexError):
        index.passage(len(index))


def test_passages_in_any_order_and_more_than_once(index: StoredIndex) -> None:
    index.delete(["d1"])
    rows = [7, 0, 7, 39, 2]
    assert index.passages(np.array(rows)) == [index.passage(row) for row in rows]
    assert [passage.document_id for passage in index.passages(rows)] == [f"d{row}" for row in rows]
    assert index.passages([]) == []
    for row in (1, -1, 40):  # deleted, before the first, behind the last
        with pytest.raises(IndexError, match=f"row {row}"):
            index.passages([0, row])


def test_deleting_all_and_beginning_again(index: StoredIndex, hashing_encoder: HashingEncoder) -> None:
    index.delete(f"d{i}" for i in range(40))
    for _ in range(2):
        assert len(index) == 0 and index.verify() == []
        vectors = hashing_encoder.encode_questions(["topic0"])
        assert (index.dense_candidates(vectors, 3)[1] == -1).all()
        assert (index.lexical_candidates(["topic0"], 3)[1] == -1).all()
        index.compact()
    index.add(documents(3))
    assert len(index) == 3 and index.verify() == []


def test_add_refuses_an_id_that_is_taken(index: StoredIndex) -> None:
    with pytest.raises(RagkitError, match=r"'d3' is in .* already: update it"):
        index.add([Document("fresh", "text"), Document("d3", "text")])
    assert len(StoredIndex.open(index.path)) == 40


def test_duplicate_ids(index: StoredIndex, tmp_path: Path, hashing_encoder: HashingEncoder) -> None:
    twice = [*documents(5), Document("d2", "another")]
    with pytest.raises(RagkitError, match="duplicate document ids: 'd2'"):
        StoredIndex.build(twice, tmp_path / "other", encoder=hashing_encoder)
    with pytest.raises(RagkitError, match="duplicate document ids: 'x'"):
        index.update([Document("x", "one"), Document("x", "two")])
    assert len(index) == 40 and index.verify() == []


def test_a_reader_keeps_its_generation(index: StoredIndex, hashing_encoder: HashingEncoder) -> None:
    reader = StoredIndex.open(index.path)
    for version in "abc":
        index.update(documents(10, version))
    index.delete(["d20"])
    index.compact()
    # Nothing of the old generation was read before; all of it is still there.
    vectors = hashing_encoder.encode_questions(["topic3 text10"])
    assert "d20" in ids(reader, reader.dense_candidates(vectors, 40)[1][0])
    assert reader.passage(3).text == documents()[3].text
    assert reader.verify(encoder=False) == []
    assert ids(reader, reader.lexical_candidates(["text10"], 1)[1][0]) == ["d10"]
    generations = index.path / "generations"
    assert len(list(generations.iterdir())) == 2
    del reader
    index.delete(["d21"])
    assert len(list(generations.iterdir())) == 1


def test_readers_during_writes_see_whole_generations(index: StoredIndex) -> None:
    failures: list[BaseException] = []
    done = threading.Event()

    def read() -> None:
        try:
            while not done.is_set():
                reader = StoredIndex.open(index.path)
                versions = {reader.passage(row).text.split()[2] for row in reader._reader.store.live_rows}
                assert len(reader) == 40 and len(versions) == 1, versions
        except BaseException as error:
            failures.append(error)

    index.update(documents(40, "v0"))
    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for version in range(1, 6):
        index.update(documents(40, f"v{version}"))
    done.set()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_writer_starts_from_the_latest_generation(index: StoredIndex) -> None:
    other = StoredIndex.open(index.path)
    other.delete(["d0"])
    index.delete(["d1"])
    assert len(index) == 38 and len(other) == 39


def test_two_writers_exclude_each_other(index: StoredIndex, hashing_encoder: HashingEncoder) -> None:
    with writer_lock(index.path):
        for write in (
            lambda: index.delete(["d0"]),
            lambda: StoredIndex.build(documents(), index.path, encoder=hashing_encoder),
        ):
            with pytest.raises(RagkitError, match=LOCK_FILE):
                write()
    assert index.delete(["d0"]) == 1


def test_the_wrong_encoder_is_refused_by_name(index: StoredIndex) -> None:
    other = HashingEncoder("b")
    for refused in (
        lambda: StoredIndex.open(index.path, other),
        lambda: StoredIndex.open(index.path, HashingEncoder(dimension=8)),
    ):
        with pytest.raises(RagkitError, match=r"wrong encoder.*'hashing-.' is not encoder 'hashing-a'"):
            refused()
    StoredIndex.build(documents(), index.path, encoder=other)  # a build may change the encoder
    assert index.passages([0])[0].id == "d0"  # whoever reads the old one goes on
    with pytest.raises(RagkitError, match="wrong encoder"):
        index.add([Document("x", "y")])
    assert StoredIndex.open(index.path, other).verify() == []


def test_without_its_lexical_part(tmp_path: Path, hashing_encoder: HashingEncoder) -> None:
    index = StoredIndex.build(documents(), tmp_path / "i", encoder=hashing_encoder, lexical=False)
    with pytest.raises(RagkitError, match="--mode dense"):
        index.lexical_candidates(["x"], 1)
    index.delete(["d0"])
    assert not index.info().lexical and index.verify() == []


def test_text_files_and_what_is_skipped(tmp_path: Path, hashing_encoder: HashingEncoder) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "good.txt").write_text("some good words " * 200)
    (folder / "bad.txt").write_bytes(bytes(range(256)) * 20)
    index = StoredIndex.build(folder, tmp_path / "i", encoder=hashing_encoder)
    assert len(index) > 1 and index.verify() == []
    assert index.last_write and len(index.last_write.skipped) == index.info().counts.skipped == 1
    with pytest.raises(RagkitError):
        StoredIndex.build(folder, tmp_path / "j", encoder=hashing_encoder, strict=True)
    with pytest.raises(RagkitError, match="no such file"):
        index.add(tmp_path / "nowhere")


@pytest.mark.parametrize("sources", [[], [Document("a", "  \n ")]])
def test_nothing_to_index(tmp_path: Path, hashing_encoder: HashingEncoder, sources: list[Document]) -> None:
    with pytest.raises(RagkitError, match="nothing to index"):
        StoredIndex.build(sources, tmp_path / "i", encoder=hashing_encoder)


def test_what_is_no_index(tmp_path: Path, hashing_encoder: HashingEncoder) -> None:
    with pytest.raises(RagkitError, match=r"no index at .*ragkit index build"):
        StoredIndex.open(tmp_path / "nowhere")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("x")
    for path in (tmp_path / "notes", tmp_path / "notes" / "mine.txt"):
        with pytest.raises(RagkitError, match="is not an index"):
            StoredIndex.open(path)
        with pytest.raises(RagkitError, match="name a"):
            StoredIndex.build(documents(), path, encoder=hashing_encoder)
    assert (tmp_path / "notes" / "mine.txt").read_text() == "x"


@pytest.mark.parametrize(
    ("factory", "message"), [("Nonsense", "FAISS cannot make"), ("IVF64,Flat", "needs 64 passages")]
)
def test_engines_that_cannot_be_are_refused_before_encoding(
    tmp_path: Path, hashing_encoder: HashingEncoder, factory: str, message: str
) -> None:
    with pytest.raises(RagkitError, match=message):
        StoredIndex.build(documents(), tmp_path / "i", encoder=hashing_encoder, factory=factory)
    assert hashing_encoder.encoded == []


def test_texts_and_metadata_that_cannot_be_stored(tmp_path: Path, hashing_encoder: HashingEncoder) -> None:
    for document in (Document("a", "lone \ud800 surrogate"), Document("a", "text", "", {"x": {1, 2}})):
        with pytest.raises(RagkitError, match=r"document 'a' cannot be stored"):
            StoredIndex.build([document], tmp_path / "i", encoder=hashing_encoder)


def test_broken_encoders_are_told_apart_from_good_ones(tmp_path: Path) -> None:
    class Broken(HashingEncoder):
        def encode_passages(self, passages: Any) -> np.ndarray:
            return super().encode_passages(passages) * np.nan

    with pytest.raises(RagkitError, match="not finite"):
        StoredIndex.build(documents(), tmp_path / "i", encoder=Broken())


def test_interrupted_builds_go_on_where_they_were(
    index: StoredIndex, hashing_encoder: HashingEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "ENCODED_AT_ONCE", 8)

    class Interrupted(HashingEncoder):
        def encode_passages(self, passages: Any) -> np.ndarray:
            if len(self.encoded) >= 16:
                raise KeyboardInterrupt
            return super().encode_passages(passages)

    with pytest.raises(KeyboardInterrupt):
        StoredIndex.build(documents(40, "new"), index.path, encoder=Interrupted(), splitting=WHOLE)
    assert StoredIndex.open(index.path).verify(encoder=False) == []
    assert StoredIndex.open(index.path).passage(0).text == documents()[0].text
    hashing_encoder.encoded = []
    rebuilt = StoredIndex.build(documents(40, "new"), index.path, encoder=hashing_encoder, splitting=WHOLE)
    assert len(hashing_encoder.encoded) == 24 and rebuilt.passage(0).text == documents(1, "new")[0].text


def test_a_full_disk(index: StoredIndex) -> None:
    """With every file limited to so many bytes, writing fails at one place after the other: in one line, and
    nothing is lost."""
    script = """
import resource, sys
sys.path[:0] = sys.argv[2].split(":")
import test_stored
from hashing_encoder import HashingEncoder
from ragkit.errors import RagkitError
from ragkit.index.stored import StoredIndex
for limit in 1_000, 3_000, 5_000, 7_000, 9_000, 12_000:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        StoredIndex.build(test_stored.documents(60, "new"), sys.argv[1], encoder=HashingEncoder())
    except RagkitError as error:
        print(error)
    assert len(StoredIndex.open(sys.argv[1])) == 40
"""
    here = Path(__file__).parent
    paths = ":".join([str(here), str(here.parent), *sys.path])
    run = subprocess.run(
        [sys.executable, "-c", script, index.path, paths], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert len(lines) == 6 and all("cannot write the index" in line for line in lines), run.stdout
    assert StoredIndex.open(index.path).verify(encoder=False) == []
    assert len(list((index.path / "generations").iterdir())) == 1


def test_no_space_left_is_named(index: StoredIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Generations, folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Generations, "seal", full)
    with pytest.raises(RagkitError, match="no space left on the disk; the index is as it was before"):
        index.delete(["d0"])
    monkeypatch.undo()
    assert len(StoredIndex.open(index.path)) == 40 and index.delete(["d0"]) == 1


def test_events_and_times(tmp_path: Path, hashing_encoder: HashingEncoder) -> None:
    events: list[Event] = []
    index = StoredIndex.build(documents(250), tmp_path / "i", encoder=hashing_encoder, on_event=events.append)
    for stage, unit, total in (("reading", "documents", 250), ("encoding", "passages", 250)):
        told = [event for event in events if event.stage == stage]
        assert [e.done for e in told] == sorted(e.done for e in told)
        assert told[-1] == Event(stage, total, total, unit)  # type: ignore[arg-type]
    assert {"reading", "encoding", "lexical", "vectors", "writing"} == set(index.info().seconds)
    assert all(seconds >= 0 for seconds in index.info().seconds.values())


def test_info(index: StoredIndex) -> None:
    info = index.info()
    assert (info.encoder, info.dimension, info.factory, info.index) == ("hashing-a", 32, "Flat", "auto")
    assert info.counts.documents == info.counts.passages == 40
    assert info.splitting == {"unit": "none", "size": 150, "overlap": 30}
    files = [path for path in (index.path / "generations" / "000001").rglob("*") if path.is_file()]
    assert info.size == sum(path.stat().st_size for path in files if path.name != "manifest.json")
    assert 128 <= info.bytes_a_vector == info.vector_size / 40
    assert info.cache_size > 40 * 128


def test_opening_and_lexical_search_load_no_model(index: StoredIndex) -> None:
    script = (
        "import sys; sys.path[:0] = sys.argv[2].split(':')\n"
        "from ragkit.index.stored import StoredIndex\n"
        "index = StoredIndex.open(sys.argv[1])\n"
        "rows = index.lexical_candidates(['text10'], 1, index.allowed('year > 2000'))[1]\n"
        "import json; print(json.dumps([rows.tolist(), sorted({m.split('.')[0] for m in sys.modules})]))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, index.path, ":".join(sys.path)],
        capture_output=True,
        text=True,
        check=True,
    )
    rows, modules = json.loads(run.stdout)
    assert len(rows[0]) == 1
    assert not {"torch", "transformers", "sentence_transformers", "faiss", "datasets"} & set(modules)
