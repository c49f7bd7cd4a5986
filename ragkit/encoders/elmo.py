"""ELMo as an encoder: a text's contextual word vectors pooled into one (Peters et al. 2018)."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ragkit.corpus.words import RULES, sentence_words
from ragkit.encoders.batches import token_budget_batches
from ragkit.encoders.encoder import Similarity, Vectors
from ragkit.encoders.hashing import hash_json, hash_weights
from ragkit.encoders.passport import CANARY_PASSAGES, CANARY_QUESTIONS, Passport
from ragkit.errors import RagkitError

if TYPE_CHECKING:
    from torch import Tensor

WORDS_A_BATCH = 4096
PACKAGED_ELMO = Path(__file__).parents[1] / "weights" / "elmo"
"""The ELMo that comes with ragkit, "elmo:packaged"."""

Pooling = Literal["mean", "attention"]


class ElmoEncoder:
    """A folder that `ragkit train elmo` saved, or "packaged".

    A vector, of length one, pools those of the text's words, w = γ Σ_j s_j h_j, the layer mix: as their mean
    m, or by attention, Σ_i a_i w_i with a_i = softmax_i(m · w_i / √n), which gives more to words that the
    others are like. Words are read letter by letter, so any word has a vector, a misspelt one, too. All
    sentences of a text are read in one go, from a zero state. A passage's title is its first sentence.

    Raises RagkitError where the folder holds no such model, or the pooling is another one.
    """

    similarity: Similarity = "cosine"

    def __init__(self, folder: str | Path, pooling: str = "mean") -> None:
        import torch

        from ragkit.models.sequence.elmo import Elmo

        self.name = f"elmo:{folder}" + (f",{pooling}" if pooling != "mean" else "")
        if pooling not in get_args(Pooling):
            raise RagkitError(f"{self.name}: no pooling {pooling!r}: {' or '.join(get_args(Pooling))}")
        self.pooling = pooling
        path = PACKAGED_ELMO if str(folder) == "packaged" else Path(folder).expanduser()
        if not path.is_dir():
            raise RagkitError(f"{self.name}: no such model folder: {folder}")
        self.model = Elmo.load(path).to("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def dimension(self) -> int:
        return self.model.dimension

    @property
    def tokenizer(self) -> Any:
        """None: ELMo reads letters and has no tokens to split passages by."""
        return None

    def encode_questions(self, questions: Sequence[str]) -> Vectors:
        return self._encode([sentence_words(question) for question in questions])

    def encode_passages(self, passages: Sequence[tuple[str, str]]) -> Vectors:
        return self._encode([sentence_words(title) + sentence_words(text) for title, text in passages])

    def passport(self) -> Passport:
        return self._passport

    @cached_property
    def _passport(self) -> Passport:
        bilm = self.model.bilm
        canaries = np.concatenate(
            [self.encode_questions(CANARY_QUESTIONS), self.encode_passages(CANARY_PASSAGES)]
        )
        sizes = asdict(bilm.config)
        for unused in ("vocabulary", "samples", "dropout"):  # of training alone, as the softmax is
            del sizes[unused]
        return Passport(
            name=self.name,
            dimension=self.dimension,
            similarity=self.similarity,
            weights=hash_weights(bilm.words, bilm.ahead, bilm.back, self.model.mix),
            tokenizer=hash_json(RULES),
            pooling=hash_json(["ELMo", sizes, f"{self.pooling} of words"]),
            canaries=tuple(tuple(round(float(x), 6) for x in vector) for vector in canaries),
        )

    def _encode(self, texts: Sequence[list[list[str]]]) -> Vectors:
        """Vectors of texts given as the words of their sentences; one without words is read as its ends."""
        import torch

        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        joined = [_joined(sentences) for sentences in texts]
        with torch.inference_mode():
            for batch in token_budget_batches([len(words) + 2 for words, _ in joined], WORDS_A_BATCH):
                layers, _ = self.model.layers([joined[row][0] for row in batch])
                for row, hidden in zip(batch, layers, strict=True):
                    words = self.model.mix(hidden)[joined[row][1]]
                    vectors[row] = torch.nn.functional.normalize(self._pooled(words), dim=0).cpu().numpy()
        return vectors

    def _pooled(self, words: "Tensor") -> "Tensor":
        """(words, dimension) to (dimension,)."""
        from ragkit.models.sequence.self_attention import attention

        mean = words.mean(dim=0)
        return mean if self.pooling == "mean" else attention(mean[None], words, words)[0]


def _joined(sentences: Sequence[list[str]]) -> tuple[list[str], list[bool]]:
    """All sentences as one, with the marks of their ends between them; and which of these are words.

    Where there is no word, the marks alone stand for the text: its vector must have a length.
    """
    from ragkit.models.sequence.characters import BEGIN_SENTENCE, END_SENTENCE

    marks = (END_SENTENCE, BEGIN_SENTENCE)
    joined = list(chain.from_iterable((*marks, *words) for words in sentences))[2:] or list(marks)
    return joined, [word not in marks or not sentences for word in joined]
