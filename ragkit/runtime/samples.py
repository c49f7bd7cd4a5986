"""Texts that come with ragkit, the same on every machine: what int8's ranges are taken from."""

import json
from collections.abc import Iterator
from importlib.resources import files
from itertools import pairwise

import numpy as np

COUNT = 64
LONGEST = 120
"""Words."""


def sample_texts() -> list[str]:
    """`COUNT` texts of 4 to `LONGEST` words out of the packaged demo's questions."""
    lines = (files("ragkit.corpus") / "demo_questions.jsonl").read_text("utf-8").splitlines()
    words = " ".join(json.loads(line)["text"] for line in lines).split()
    rng = np.random.default_rng(0)
    starts, lengths = rng.integers(len(words) - LONGEST, size=COUNT), rng.integers(4, LONGEST + 1, size=COUNT)
    return [" ".join(words[start : start + n]) for start, n in zip(starts, lengths, strict=True)]


def sample_pairs() -> Iterator[tuple[str, str]]:
    """The beginning of a text as question, and the text after it as passage."""
    for question, passage in pairwise(sample_texts()):
        yield " ".join(question.split()[:12]), passage
