"""Questions with their passages, as tokens: what the reader and the generator learn from."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ragkit.corpus.questions import load_questions
from ragkit.corpus.records import read_json, squad_paragraphs
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
    """The questions of a SQuAD JSON file, v1.1 or v2.0, plain or gzip-compressed.

    Raises:
        RagkitError: if the file cannot be read or is not laid out like SQuAD.
    """
    examples = []
    for paragraph, asked in squad_paragraphs(read_json(path), path):
        for entry in asked:
            try:
                answers = [] if entry.get("is_impossible") else entry["answers"]
                texts = tuple(answer["text"] for answer in answers)
                start = answers[0]["answer_start"] if answers else -1
                question = entry["question"].strip()
                examples.append(
                    ReadingExample(entry["id"], paragraph.title, question, paragraph.text, texts, start)
                )
            except (KeyError, TypeError, AttributeError) as error:
                raise RagkitError(
                    f"{path}, {paragraph.title}: a question without id, question and answers; not SQuAD JSON"
                ) from error
    return examples


def read_free_answers(folder: Path, split: str = "train") -> list[ReadingExample]:
    """Questions answered in free words: a BEIR folder that has answers (FairytaleQA's layout).

    Every relevant (question, passage) pair of the split is an example; unanswered questions are left out.

    Raises:
        RagkitError: if the folder is no BEIR folder, lacks the split, or a file in it is broken.
    """
    asked = load_questions(folder, split)
    passages = {document.id: document for document in asked.documents()} if asked.documents else {}
    return [
        ReadingExample(q.id, passages[id].title, q.text, passages[id].text, tuple(q.answers), -1)
        for q in asked.questions
        for id, grade in q.relevant.items()
        if grade > 0 and q.answers and id in passages
    ]


def split_held_out(
    examples: Sequence[ReadingExample], one_in: int = 50, limit: int = 400
) -> tuple[list[ReadingExample], list[ReadingExample]]:
    """Splits by article: (training, held out), about one article in `one_in` held out whole.

    The article's hash decides, so the same file always gives the same split. Of a handful of articles one
    is held out, of a single one some questions. At most `limit` held-out questions are kept, spread
    evenly over the articles held out.

    Raises:
        RagkitError: if there are fewer than 2 questions.
    """
    if len(examples) < 2:
        raise RagkitError(f"{len(examples)} questions are too few to learn from: at least 2 are needed")
    hashes = {example.title: _hash(example.title) for example in examples}
    if len(hashes) == 1:
        return [e for at, e in enumerate(examples) if at % one_in], list(examples[::one_in])[:limit]
    chosen = {title for title, number in hashes.items() if number % one_in == 0}
    chosen = chosen or {min(hashes, key=lambda title: hashes[title])}
    held = [example for example in examples if example.title in chosen]
    stride = max(1, -(-len(held) // limit))
    return [example for example in examples if example.title not in chosen], held[::stride]


def _hash(text: str) -> int:
    # SQuAD files write titles with spaces or with underscores: both give the same split.
    return int.from_bytes(hashlib.sha256(text.replace(" ", "_").encode()).digest()[:4], "big")


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
