"""Questions with passages that answer them and passages that only look like it: data of a retriever."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ragkit.corpus.questions import load_questions
from ragkit.errors import RagkitError

CHUNK = 32
"""Batches' worth of rows that are sorted by length together."""


@dataclass(frozen=True, slots=True)
class RetrievalExample:
    """A question; its passages are positions in the set's `passages`."""

    question: str
    positives: tuple[int, ...]
    negatives: tuple[int, ...] = ()


@dataclass(slots=True)
class RetrievalSet:
    """The questions and the passages, (title, text) each, of one file or folder."""

    name: str
    passages: list[tuple[str, str]]
    examples: list[RetrievalExample]


@dataclass(frozen=True, slots=True)
class Row:
    """A passage of a batch with questions that it answers, as shown in one epoch: positions as above."""

    questions: tuple[str, ...]
    positive: int
    negatives: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one set."""

    data: RetrievalSet
    rows: list[Row]


def read_retrieval_set(path: str | Path, split: str | None = None) -> RetrievalSet:
    """DPR's JSON (with its hard negatives), SQuAD JSON, or a split of a BEIR folder, by default `train`.

    Questions without a relevant passage are left out.

    Raises:
        RagkitError: if it cannot be read, lacks the split, or no question of it names one of its passages.
    """
    folder = Path(path).is_dir()
    asked = load_questions(path, (split or "train") if folder else None)
    if asked.documents is None:
        raise RagkitError(
            f"{path}: no passages to learn from; mine some from an index: ragkit mine INDEX {path} --out FILE"
        )
    passages: list[tuple[str, str]] = []
    at: dict[str, int] = {}
    for document in asked.documents():
        at[document.id] = len(passages)
        passages.append((document.title, document.text))
    examples = []
    for question in asked.questions:
        relevant = [at[name] for name, grade in question.relevant.items() if grade > 0 and name in at]
        others = [at[name] for name in question.negatives if name in at and at[name] not in relevant]
        if relevant and question.text.strip():
            examples.append(RetrievalExample(question.text.strip(), tuple(relevant), tuple(others)))
    if not examples:
        raise RagkitError(f"{path}: none of its {len(asked.questions)} questions names a passage of it")
    return RetrievalSet(asked.name, passages, examples)


def split_held_out(data: RetrievalSet, count: int) -> tuple[RetrievalSet, RetrievalSet]:
    """(training, held out): about `count` questions, at most a tenth of all, in whole articles.

    Questions belong together whose first passage has the same title, or is the same. Hashes decide which
    are held out, so one file always gives one split. Of a set of one article the last questions are.
    """
    wanted = min(count, len(data.examples) // 10)
    groups: dict[str, list[RetrievalExample]] = {}
    for example in data.examples:
        title, text = data.passages[example.positives[0]]
        groups.setdefault(title or text, []).append(example)
    held: list[RetrievalExample] = []
    for name in sorted(groups, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if len(held) < wanted and len(held) + len(groups[name]) <= 2 * wanted:
            held += groups[name]
    held = held[:wanted] if held else data.examples[len(data.examples) - wanted :]
    chosen = {id(example) for example in held}
    rest = [example for example in data.examples if id(example) not in chosen]
    return RetrievalSet(data.name, data.passages, rest), RetrievalSet(data.name, data.passages, held)


def plan_epoch(
    data: RetrievalSet,
    size: int,
    negatives: int,
    rng: np.random.Generator,
    fill: bool = False,
    group: int = 1,
) -> list[Batch]:
    """An epoch's batches of `size` rows each, in the order of training.

    In-batch negatives are sound: no passage of a batch answers a question of another row. Passages of a
    batch are alike in length. A row holds `group` questions of one passage, drawn anew each epoch: of one
    that answers more, some wait for another epoch; of one that answers fewer, some come again. A question
    with several positives shows one. A row's `negatives` are drawn from its questions' hard ones; where
    these are too few, passages of the set drawn at random stand in. A set without any hard negative shows
    none, unless `fill`. Left out are batches less than half full at the end, and questions that every
    passage answers.
    """
    any_mined = any(example.negatives for example in data.examples)
    wanted = min(negatives if any_mined or fill else 0, len(data.passages) - 1)
    rows: list[Row] = []
    relevant: list[set[int]] = []
    for positive, examples in _grouped(data.examples, group, rng):
        answering = {at for example in examples for at in example.positives}
        if len(answering) < len(data.passages):
            wrong = _wrong(data, examples, answering, wanted, rng)
            rows.append(Row(tuple(example.question for example in examples), positive, wrong))
            relevant.append(answering)
    lengths = [len(data.passages[row.positive][1]) for row in rows]
    return [Batch(data, part) for part in fill_batches(rows, relevant, lengths, size, rng)]


def fill_batches(
    rows: Sequence[Row],
    relevant: Sequence[set[int]],
    lengths: Sequence[int],
    size: int,
    rng: np.random.Generator,
) -> list[list[Row]]:
    """Rows in batches of `size`, alike in length, in random order.

    No row of a batch shows what is `relevant` to another one. Left out are batches less than half full at the
    end, unless there is no other.
    """
    order = rng.permutation(len(rows))
    full: list[_Open] = []
    begun: list[_Open] = []
    for at in range(0, len(order), CHUNK * size):
        for i in sorted(order[at : at + CHUNK * size].tolist(), key=lengths.__getitem__):
            batch = next((batch for batch in begun if batch.takes(rows[i], relevant[i])), None)
            if batch is None:
                begun.append(batch := _Open())
            batch.add(rows[i], relevant[i])
            if len(batch.rows) == size:
                full.append(batch)
                begun.remove(batch)
    kept = full + [batch for batch in begun if 2 * len(batch.rows) > size]
    kept = kept or begun
    return [kept[i].rows for i in rng.permutation(len(kept)).tolist()]


def _grouped(
    examples: list[RetrievalExample], group: int, rng: np.random.Generator
) -> Iterator[tuple[int, list[RetrievalExample]]]:
    """Passages, each with `group` of the questions that it answers."""
    asked: dict[int, list[RetrievalExample]] = {}
    for example in examples:
        asked.setdefault(example.positives[int(rng.integers(len(example.positives)))], []).append(example)
    for positive, own in asked.items():
        shuffled = [own[i] for i in rng.permutation(len(own)).tolist()]
        parts = max(1, round(len(own) / group))
        for part in (shuffled[at::parts] for at in range(parts)):
            yield positive, [part[i % len(part)] for i in range(group)]


def _wrong(
    data: RetrievalSet,
    examples: list[RetrievalExample],
    answering: set[int],
    wanted: int,
    rng: np.random.Generator,
) -> tuple[int, ...]:
    hard = list(dict.fromkeys(at for e in examples for at in e.negatives if at not in answering))
    chosen = [hard[i] for i in rng.permutation(len(hard))[:wanted].tolist()]
    while len(chosen) < wanted:
        other = int(rng.integers(len(data.passages)))
        if other not in answering:
            chosen.append(other)
    return tuple(chosen)


@dataclass(slots=True)
class _Open:
    """A batch that is being filled."""

    rows: list[Row] = field(default_factory=list)
    shown: set[int] = field(default_factory=set)
    relevant: set[int] = field(default_factory=set)

    def takes(self, row: Row, relevant: set[int]) -> bool:
        return self.relevant.isdisjoint((row.positive, *row.negatives)) and self.shown.isdisjoint(relevant)

    def add(self, row: Row, relevant: set[int]) -> None:
        self.rows.append(row)
        self.shown.update((row.positive, *row.negatives))
        self.relevant |= relevant
