"""The store against a dictionary: whatever is added, updated, deleted and compacted, both hold the same."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hashing_encoder import HashingEncoder
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ragkit.corpus.document import Document
from ragkit.corpus.splitting import Splitting, split
from ragkit.errors import RagkitError
from ragkit.index.stored import StoredIndex
from ragkit.index.vector_index import brute_force

SPLITTING = Splitting(size=4, overlap=1)
NAMES = st.sampled_from("abcdefgh")
WORDS = st.lists(st.sampled_from(["red", "green", "blue", "ünï", "🙂", "one", "two"]), max_size=9).map(
    " ".join
)
DOCUMENTS = st.builds(
    Document, NAMES, WORDS, WORDS, st.fixed_dictionaries({}, optional={"n": st.integers(0, 2)})
)


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.encoder = HashingEncoder(dimension=8)
        first = Document("first", "red green blue one two", "title")
        self.model = {first.id: first}
        self.index = StoredIndex.build(
            [first], self.folder / "index", encoder=self.encoder, splitting=SPLITTING
        )

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @rule(document=DOCUMENTS)
    def add(self, document: Document) -> None:
        if document.id in self.model:
            with pytest.raises(RagkitError, match="already"):
                self.index.add([document])
        else:
            self.index.add([document])
            self.model[document.id] = document

    @rule(documents=st.lists(DOCUMENTS, min_size=1, max_size=4, unique_by=lambda d: d.id))
    def update(self, documents: list[Document]) -> None:
        self.encoder.encoded = []
        known = {(p.title, p.text) for d in self.model.values() for p in split(d, SPLITTING)}
        self.index.update(documents)
        assert not {f"{title} {text}" for title, text in known} & set(self.encoder.encoded)
        self.model |= {document.id: document for document in documents}

    @rule(names=st.lists(NAMES, max_size=4))
    def delete(self, names: list[str]) -> None:
        gone = {name for name in names if name in self.model}
        assert self.index.delete(names) == len(gone)
        for name in gone:
            del self.model[name]

    @rule()
    def compact(self) -> None:
        self.encoder.encoded = []
        self.index.compact()
        assert self.encoder.encoded == []
        assert self.index.info().counts.deleted_passages == 0

    @rule()
    def reopen(self) -> None:
        self.index = StoredIndex.open(self.folder / "index", self.encoder)

    @invariant()
    def agrees_with_the_model(self) -> None:
        expected = {p.id: p for d in self.model.values() for p in split(d, SPLITTING)}
        assert len(self.index) == len(expected)
        vectors = self.encoder.encode_questions(["red one"])
        scores, rows = self.index.dense_candidates(vectors, 50)
        found = self.index.passages(rows[rows >= 0])
        assert {p.id: p for p in found} == expected and len(found) == len(expected)
        passages = self.encoder.encode_passages([(p.title, p.text) for p in found])
        exact = brute_force(passages, np.arange(len(found)), vectors, 50)
        np.testing.assert_allclose(scores[0, : len(found)], exact[0][0], atol=1e-5)
        lexical = self.index.lexical_candidates(["red one"], 50)[1]
        assert sorted(lexical[lexical >= 0]) == sorted(rows[rows >= 0])
        allowed = self.index.allowed("n == 1")
        assert {p.id for p in self.index.passages(allowed)} == {  # type: ignore[arg-type]
            p.id for p in expected.values() if p.metadata.get("n") == 1
        }
        assert self.index.verify(encoder=False) == []


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=6, stateful_step_count=8, deadline=None)
