"""BANKING77 by intents: which a router learns from, and which it meets as topics unseen."""

import csv
import gzip
import random
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ragkit.encoders.encoder import Vectors

UNSEEN = 27
EACH = {"train": 25, "test": 20}
"""Texts of an intent that are used, of each of the two files: the first ones of a shuffle."""
SEED = 0


class Texts(NamedTuple):
    """Vectors (texts, size) with the number of each one's intent, (texts,)."""

    vectors: Vectors
    labels: npt.NDArray[np.int64]

    def of(self, intents: npt.NDArray[np.int64]) -> "Texts":
        """The texts of some intents."""
        chosen = np.isin(self.labels, intents)
        return Texts(self.vectors[chosen], self.labels[chosen])


class Banking(NamedTuple):
    """Both files of the set, and its 77 intents in two: 50 to choose by and 27 unseen."""

    train: Texts
    test: Texts
    known: npt.NDArray[np.int64]
    unseen: npt.NDArray[np.int64]


def banking(data: Path, cache: Path) -> Banking:
    """From `data`/banking77; vectors of the packaged encoder are kept in the folder `cache`."""
    rows = {name: read(data / "banking77" / f"{name}.tsv.gz", each) for name, each in EACH.items()}
    names = sorted({label for label, _ in rows["train"]})
    parts = []
    for name, of in rows.items():
        labels = np.array([names.index(label) for label, _ in of])
        parts.append(Texts(encoded([text for _, text in of], cache / f"{name}.npy"), labels))
    order = np.random.default_rng(SEED).permutation(len(names))
    return Banking(parts[0], parts[1], order[UNSEEN:], order[:UNSEEN])


def read(file: Path, each: int) -> list[tuple[str, str]]:
    """Intent and text of `each` texts an intent."""
    with gzip.open(file, "rt", encoding="utf-8", newline="") as lines:
        rows = [(row["label"], row["text"]) for row in csv.DictReader(lines, delimiter="\t")]
    random.Random(SEED).shuffle(rows)
    seen: Counter[str] = Counter()
    kept = []
    for label, text in rows:
        seen[label] += 1
        if seen[label] <= each:
            kept.append((label, text))
    return kept


def encoded(texts: list[str], file: Path) -> Vectors:
    if not file.exists():
        from ragkit.encoders.loading import load_encoder

        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, load_encoder().encode_questions(texts), allow_pickle=False)
    vectors: Vectors = np.load(file, allow_pickle=False)
    return vectors
