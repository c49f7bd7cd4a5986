"""Row 80: byte pairs and word pieces on passages of SQuAD, against the tokenizers library."""

import gzip
import json
from itertools import islice

from ragkit.chapters.data import data_folder
from ragkit.encoders.loading import packaged_folder
from ragkit.models.sequence.byte_pair import BytePairEncoding
from ragkit.models.sequence.word_piece import WordPiece


def squad_passages(count: int, every: int = 1) -> list[str]:
    """One passage in `every`, from the first on."""
    with gzip.open(data_folder("squad") / "corpus.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in islice(lines, 0, count * every, every)]


def tokenisers() -> dict[str, float]:
    """Row 80: 200 passages from all of SQuAD's; byte pairs learnt on the first 40."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    texts = squad_passages(200, every=90)
    pairs = BytePairEncoding.train(texts[:40], 300)
    numbers = [pairs.encode(text) for text in texts]
    lost = sum(pairs.decode(n) != text for n, text in zip(numbers, texts, strict=True))

    # The library's model knows no bytes: each byte is the letter of that number.
    letters = {token.decode("latin-1"): at for at, token in enumerate(pairs.vocabulary)}
    merges = [(a.decode("latin-1"), b.decode("latin-1")) for a, b in pairs.merges]
    theirs = Tokenizer(models.BPE(vocab=letters, merges=merges))
    words = sorted({word for text in texts for word in text.split()})
    other = sum(pairs.encode(word) != theirs.encode(_as_letters(word)).ids for word in words)

    lines = (packaged_folder() / "vocab.txt").read_text(encoding="utf-8").splitlines()
    vocabulary = {piece: at for at, piece in enumerate(lines)}
    pieces, cutter = WordPiece(vocabulary), pre_tokenizers.BertPreTokenizer()
    plain, library = normalizers.BertNormalizer(lowercase=True), models.WordPiece(vocab=vocabulary)
    theirs = Tokenizer(library)
    for text in texts:
        cut = [word for word, _ in cutter.pre_tokenize_str(plain.normalize_str(text))]
        known = [word for word in cut if pieces.encode([word]) != [vocabulary["[UNK]"]]]
        lost += pieces.decode(pieces.encode(known)) != known
        other += sum(pieces.encode([word]) != theirs.encode(word).ids for word in cut)
    shorter = sum(map(len, numbers)) / sum(len(text.encode()) for text in texts)
    return {
        "texts that do not come back": lost,
        "words cut other than by tokenizers": other,
        "byte pairs a byte": shorter,
    }


def _as_letters(word: str) -> str:
    return word.encode().decode("latin-1")
