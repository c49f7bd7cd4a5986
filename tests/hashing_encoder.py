"""An encoder for tests: deterministic, instant, without a model. Texts that share words have near vectors."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from ragkit.encoders.passport import CANARY_PASSAGES, CANARY_QUESTIONS, Passport


class HashingEncoder:
    """The sum of pseudo-random word vectors, of length one. `seed` stands for the weights of a model.

    With `log` each text that is encoded is appended to that file, a line each, before its vector is returned.
    """

    similarity: Literal["cosine"] = "cosine"

    def __init__(self, seed: str = "a", dimension: int = 32, log: Path | None = None):
        self.seed, self.dimension, self.log = seed, dimension, log
        self.encoded: list[str] = []
        """Every passage that was encoded, as "title text"."""

    @classmethod
    def named(cls, spec: str | Path = "packaged", *computed: str, **how: str) -> "HashingEncoder":
        """In place of `load_encoder`: "hashing-b" has the seed b, "packaged" the seed a."""
        return cls("a" if str(spec) == "packaged" else str(spec).removeprefix("hashing-"))

    def encode_questions(self, questions: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.array([self._vector(text) for text in questions], dtype=np.float32).reshape(
            -1, self.dimension
        )

    def encode_passages(self, passages: Sequence[tuple[str, str]]) -> npt.NDArray[np.float32]:
        texts = [f"{title} {text}" for title, text in passages]
        self.encoded += texts
        if self.log is not None:
            with self.log.open("a") as file:
                file.writelines(f"{text}\n" for text in texts)
        return self.encode_questions(texts)

    def passport(self) -> Passport:
        texts = [*CANARY_QUESTIONS, *(f"{title} {text}" for title, text in CANARY_PASSAGES)]
        canaries = tuple(tuple(vector.tolist()) for vector in self.encode_questions(texts))
        name = f"hashing-{self.seed}"
        return Passport(name, self.dimension, self.similarity, self.seed, "words", "sum", {}, canaries)

    def _vector(self, text: str) -> npt.NDArray[np.float32]:
        total = np.zeros(self.dimension, dtype=np.float32)
        for word in text.lower().split():
            digest = hashlib.shake_128(f"{self.seed} {word}".encode()).digest(self.dimension)
            total += np.frombuffer(digest, dtype=np.uint8) - np.float32(127.5)
        return total / max(float(np.linalg.norm(total)), 1e-9)
