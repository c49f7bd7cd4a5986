"""Questions with their passages, as tokens: what the reader and the generator learn from."""

import gzip
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ragkit.errors import RagkitError


@dataclass(frozen=True, slots=True)
class ReadingExample:
    """A question about one passage. `answers` is empty where the passage does not answer it.

    `answer_start` is the character offset of `answers[0]` in the passage, -1 where the answer is
    written freely (abstractive) or missing.
    """

    id: str
    title: str
    question: str
    passage: str
    answers: tuple[str, ...]
    answer_start: int


def read_squad(path: Path) -> list[ReadingExample]:
    """Reads a SQuAD JSON file, v1.1 or v2.0, plain or gzip-compressed.

    Raises:
        RagkitError: if the file is missing, is not JSON, or is not laid out like SQuAD.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            articles = json.load(file)["data"]
        return [
            _example(article.get("title", ""), paragraph["context"], qa)
            for article in articles
            for paragraph in article["paragraphs"]
            for qa in paragraph["qas"]
        ]
    except FileNotFoundError:
        raise RagkitError(f"{path}: no such file") from None
    except (OSError, EOFError, ValueError) as error:
        raise RagkitError(f"{path}: not readable as JSON: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise RagkitError(f"{path}: not laid out like SQuAD: {error!r}") from error


def _example(title: str, context: str, qa: dict[str, Any]) -> ReadingExample:
    answers = [] if qa.get("is_impossible") else qa.get("answers", [])
    texts = tuple(answer["text"] for answer in answers)
    start = answers[0]["answer_start"] if answers else -1
    return ReadingExample(qa["id"], title, qa["question"].strip(), context, texts, start)


def split_held_out(
    examples: Sequence[ReadingExample], one_in: int = 50, limit: int = 400
) -> tuple[list[ReadingExample], list[ReadingExample]]:
    """Splits by article: (training, held out), about one article in `one_in` held out whole.

    The article's hash decides, so the same file always gives the same split. At most `limit`
    held-out questions are kept, spread evenly over the articles held out.
    """
    train: list[ReadingExample] = []
    held: list[ReadingExample] = []
    for example in examples:
        digest = hashlib.sha256(example.title.encode()).digest()
        (held if int.from_bytes(digest[:4], "big") % one_in == 0 else train).append(example)
    stride = max(1, -(-len(held) // limit))
    return train, held[::stride]


@dataclass(frozen=True, slots=True)
class TokenisedText:
    """Word pieces of a text: `ids` (tokens,), `offsets` (tokens, 2) in characters of the text."""

    ids: np.ndarray
    offsets: np.ndarray

    def tokens_of(self, start: int, stop: int) -> tuple[int, int] | None:
        """First and last token, both inclusive, that touch the characters [start, stop)."""
        first = int(np.searchsorted(self.offsets[:, 1], start, side="right"))
        last = int(np.searchsorted(self.offsets[:, 0], stop, side="left")) - 1
        return (first, last) if first <= last else None


def tokenise(tokenizer: Any, texts: Sequence[str]) -> list[TokenisedText]:
    """Word pieces of each text without special tokens, through a fast tokenizer, never truncated."""
    found: list[TokenisedText] = []
    for at in range(0, len(texts), 1000):
        encoded = tokenizer(
            list(texts[at : at + 1000]),
            add_special_tokens=False,
            return_offsets_mapping=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        for ids, offsets in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
            found.append(TokenisedText(np.array(ids, np.int32), np.array(offsets, np.int32).reshape(-1, 2)))
    return found


def windows_of(tokens: int, room: int, stride: int) -> Iterator[tuple[int, int]]:
    """Cuts `tokens` into windows [begin, end) of at most `room`, neighbours sharing `stride` tokens."""
    if not 0 <= stride < room:
        raise ValueError(f"a stride of {stride} tokens does not fit windows of {room}")
    begin = 0
    while True:
        yield begin, min(begin + room, tokens)
        if begin + room >= tokens:
            return
        begin += room - stride


def token_batches(
    lengths: np.ndarray, budget: int, rng: np.random.Generator, multiple: int = 8
) -> list[np.ndarray]:
    """Batches of row numbers, alike in length, whose padded size stays within `budget` tokens.

    Rows are sorted by length with a little noise, so that neighbours differ between epochs, cut into
    batches, and the batches are shuffled. Every row is in one batch, a row longer than the budget alone.

    Args:
        lengths: tokens of every row, (rows,).
        multiple: batches are padded to a multiple of this many tokens.
    """
    order = np.argsort(lengths + rng.uniform(0, multiple, len(lengths)), kind="stable")
    batches: list[np.ndarray] = []
    begin, widest = 0, 0
    for at, row in enumerate(order):
        width = -(-int(lengths[row]) // multiple) * multiple
        if at > begin and max(widest, width) * (at - begin + 1) > budget:
            batches.append(order[begin:at])
            begin, widest = at, 0
        widest = max(widest, width)
    if len(order):
        batches.append(order[begin:])
    return [batches[at] for at in rng.permutation(len(batches))]
