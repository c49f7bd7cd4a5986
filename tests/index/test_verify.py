"""`verify` finds what checksums cannot: files that are whole, but do not agree."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hashing_encoder import HashingEncoder

from ragkit.corpus.document import Document, Passage
from ragkit.encoders import loading
from ragkit.errors import RagkitError
from ragkit.index import stored
from ragkit.index.faiss_index import FaissIndex
from ragkit.index.stored import StoredIndex

DOCUMENTS = [Document(f"d{i}", f"some words {i}") for i in range(20)]


def test_offsets_that_point_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(document: Document, *_: object) -> list[Passage]:
        return [Passage(f"{document.id}#5", document.id, "words", 6, 11)]

    monkeypatch.setattr(stored, "cut", wrong)
    problems = StoredIndex.build(DOCUMENTS, tmp_path / "i", encoder=HashingEncoder()).verify()
    assert len(problems) == 6 and "'d0#5' is not at 6-11 of its document" in problems[0]
    assert problems[-1] == "and 15 more like this"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda engine: engine.remove(np.array([3, 4])), "2 passages have no vector"),
        (lambda engine: engine.add(np.ones((1, 32), np.float32), np.array([99])), "1 vectors .* no passage"),
    ],
)
def test_vectors_too_few_or_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[FaissIndex], object], message: str
) -> None:
    save = FaissIndex.save

    def damaged(self: FaissIndex, path: Path) -> None:
        damage(self)
        save(self, path)

    monkeypatch.setattr(FaissIndex, "save", damaged)
    (problem,) = StoredIndex.build(DOCUMENTS, tmp_path / "i", encoder=HashingEncoder()).verify()
    assert re.search(message, problem)


def test_an_encoder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(spec: str, *computed: str, **how: str) -> None:
        raise RagkitError(f"no model {spec!r}")

    monkeypatch.setattr(loading, "load_encoder", load)
    StoredIndex.build(DOCUMENTS, tmp_path / "i", encoder=HashingEncoder())
    index = StoredIndex.open(tmp_path / "i")
    assert index.verify(encoder=False) == []
    assert index.verify() == ["no model 'hashing-a'"]
