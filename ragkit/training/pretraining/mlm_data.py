"""Text for masked language modelling: read, cut into sentences, tokenised, packed into sequences."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ragkit.corpus.sources import read_documents
from ragkit.corpus.words import sentences
from ragkit.errors import RagkitError
from ragkit.models.sequence.sentence_pairs import sentence_pairs

Ids = NDArray[np.int32]
Text = list[Ids]
"""A document: the token ids of each sentence."""

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True, slots=True)
class MaskedSequence:
    """One input of the model, special tokens included; segment 1 begins at `second`.

    `label` is 0 where B follows A, 1 where not, None where there is one segment only.
    """

    tokens: Ids
    second: int
    label: int | None = None


@dataclass(frozen=True, slots=True)
class MaskedBatch:
    """Padded sequences (batch, tokens): ids, what is no padding, segments; and labels (batch,) of pairs."""

    tokens: Tensor
    real: Tensor
    segments: Tensor
    following: Tensor | None


def read_texts(sources: Sequence[str | Path]) -> Iterator[str]:
    """The texts of indexes (their passages) and of everything else that `read_documents` reads."""
    from ragkit.index.generations import POINTER
    from ragkit.index.stored import StoredIndex

    indexes = [s for s in sources if (Path(s) / POINTER).is_file()]
    for index in indexes:
        yield from StoredIndex.open(index).texts()
    others = [s for s in sources if s not in indexes]
    if others:
        yield from (document.text for document in read_documents(others))


def train_word_pieces(texts: Sequence[str], size: int) -> Any:
    """An uncased WordPiece tokenizer of `size` pieces, or of as many as the texts give, as transformers'
    `BertTokenizer`: the same one each time.

    `tokenizers` numbers the letters that go on a word (##a) as a hash map happens to hold them, and those
    numbers decide between equally frequent pairs. So the letters are found first, without a merge, and given
    to the second pass in their order.

    Raises:
        RagkitError: if there is no text.
    """
    from transformers import BertTokenizer

    letters = _learnt_pieces(texts, 0, SPECIAL)
    if len(letters) == len(SPECIAL):
        raise RagkitError("no text to learn a vocabulary from: the sources are empty")
    going_on = sorted(piece for piece in letters if piece.startswith("##"))
    pieces = _learnt_pieces(texts, size, (*SPECIAL, *going_on))
    return BertTokenizer(vocab={piece: at for at, piece in enumerate(pieces)})


def _learnt_pieces(texts: Sequence[str], size: int, first: Sequence[str]) -> list[str]:
    """`first`, every letter, and the most frequent merges until there are `size` pieces."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    learner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    learner.normalizer = normalizers.BertNormalizer(lowercase=True)
    learner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, special_tokens=list(first), continuing_subword_prefix="##", show_progress=False
    )
    learner.train_from_iterator(texts, trainer)
    numbers: dict[str, int] = learner.get_vocab()
    return sorted(numbers, key=numbers.__getitem__)


def tokenise(texts: Iterable[str], tokenizer: Any) -> list[Text]:
    """Documents that have a token, sentence by sentence, without special tokens."""
    encode = tokenizer.backend_tokenizer.encode_batch
    documents: list[Text] = []
    remaining = iter(texts)
    while batch := list(islice(remaining, 256)):
        cut = [sentences(text) for text in batch]
        encoded = iter(encode(list(chain(*cut)), add_special_tokens=False))
        for parts in cut:
            arrays = [np.array(e.ids, dtype=np.int32) for e in islice(encoded, len(parts))]
            if document := [a for a in arrays if len(a)]:
                documents.append(document)
    return documents


def hold_out(texts: Sequence[Text], tokens: int, seed: int) -> tuple[list[Text], list[Text]]:
    """(training, held-out) documents: the first ones in a random order, about `tokens` but at most a tenth.

    No document gives more than half of it, as next sentences need two. Up to two that are too long are
    divided at a sentence, so that a few books can be held out from, too.
    """
    order = np.random.default_rng(seed).permutation(len(texts))
    left = min(tokens, sum(len(s) for text in texts for s in text) // 10)
    most, divided = (left + 1) // 2, 0
    train: list[Text] = []
    held: list[Text] = []
    for at in order:
        sizes = np.cumsum([len(s) for s in texts[at]])
        cut = int(np.searchsorted(sizes, min(left, most), side="right")) if divided < 2 else 0
        if cut:
            held.append(texts[at][:cut])
            left -= int(sizes[cut - 1])
        if cut < len(sizes):
            train.append(texts[at][cut:])
            divided += cut > 0
    return train, held


def packed(texts: Sequence[Text], max_tokens: int, tokenizer: Any) -> list[MaskedSequence]:
    """[CLS] tokens [SEP] of at most `max_tokens`: each document cut into full sequences and a rest."""
    cls, sep = [tokenizer.cls_token_id], [tokenizer.sep_token_id]
    sequences = []
    for text in texts:
        flat = np.concatenate(text)
        for begin in range(0, len(flat), max_tokens - 2):
            ids = np.concatenate([cls, flat[begin : begin + max_tokens - 2], sep]).astype(np.int32)
            sequences.append(MaskedSequence(ids, len(ids)))
    return sequences


def paired(
    texts: Sequence[Text], max_tokens: int, tokenizer: Any, rng: np.random.Generator
) -> list[MaskedSequence]:
    """[CLS] A [SEP] B [SEP] of at most `max_tokens`, half of the B's following their A."""
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    sequences = []
    for pair in sentence_pairs([[s.tolist() for s in text] for text in texts], max_tokens - 3, rng):
        ids = np.array([cls, *pair.a, sep, *pair.b, sep], dtype=np.int32)
        sequences.append(MaskedSequence(ids, len(pair.a) + 2, pair.label))
    return sequences


def collate(sequences: Sequence[MaskedSequence], padding: int, multiple: int = 8) -> MaskedBatch:
    """Padded to a multiple of some tokens, which matrix kernels like."""
    width = -(-max(len(s.tokens) for s in sequences) // multiple) * multiple
    tokens = torch.full((len(sequences), width), padding)
    real, segments = torch.zeros_like(tokens), torch.zeros_like(tokens)
    for row, sequence in enumerate(sequences):
        length = len(sequence.tokens)
        tokens[row, :length] = torch.from_numpy(sequence.tokens)
        real[row, :length] = 1
        segments[row, sequence.second : length] = 1
    labels = [s.label for s in sequences if s.label is not None]
    return MaskedBatch(tokens, real, segments, torch.tensor(labels) if labels else None)


def digest(texts: Sequence[Text]) -> str:
    """A hash of all tokens: whether two runs saw the same data."""
    total = hashlib.sha256()
    for text in texts:
        for sentence in text:
            total.update(sentence.tobytes())
        total.update(b"|")
    return total.hexdigest()[:16]
