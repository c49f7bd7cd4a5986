"""Questions with a passage that answers them among passages that only look like it: data of a reranker.

Negatives are those that the data bring (DPR's `hard_negative_ctxs`, which `ragkit mine` writes); else BM25's
best passages that neither are relevant nor hold an answer (Karpukhin et al. 2020, section 3.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ragkit.corpus.normalisation import normalise
from ragkit.corpus.questions import load_questions
from ragkit.encoders.sentence import passage_text
from ragkit.evaluation.answers import answer_in_normalised
from ragkit.training.retrieval.data import RetrievalExample, RetrievalSet, read_retrieval_set

MINED = 10
"""Negatives a question that BM25 gives."""
DEPTH = 30
"""Passages among which they are looked for."""
BUCKET = 32
"""Batches' worth of lists that are sorted by length together: little padding, and chance all the same."""


@dataclass(frozen=True, slots=True)
class RankedList:
    """A question with passages of `data`, the relevant one first, as it is shown in one epoch."""

    data: RetrievalSet
    question: str
    passages: tuple[int, ...]

    @property
    def texts(self) -> list[str]:
        """What the model reads of each passage."""
        return [passage_text(*self.data.passages[at]) for at in self.passages]

    @property
    def labels(self) -> list[float]:
        """1 of the relevant passage, 0 of the others."""
        return [1.0] + [0.0] * (len(self.passages) - 1)


def read_ranking_set(path: str | Path, split: str | None = None, limit: int | None = None) -> RetrievalSet:
    """DPR's JSON, SQuAD JSON, or a split of a BEIR folder (default `train`), each question with negatives.

    `limit` keeps so many questions, evenly spread. Questions for which no negative is found are left out.

    Raises:
        RagkitError: if it cannot be read, lacks the split, or no question of it names one of its passages.
    """
    data = read_retrieval_set(path, split)
    count = len(data.examples)
    if limit is not None and limit < count:
        data = replace(data, examples=[data.examples[at * count // limit] for at in range(limit)])
    if not any(example.negatives for example in data.examples):
        asked = load_questions(path, (split or "train") if Path(path).is_dir() else None)
        data = with_lexical_negatives(data, {q.text.strip(): q.answers for q in asked.questions})
    return replace(data, examples=[example for example in data.examples if example.negatives])


def with_lexical_negatives(data: RetrievalSet, answers: dict[str, list[str]]) -> RetrievalSet:
    """The set with BM25's negatives, best first; `answers` by question tell which passages are none."""
    from ragkit.index.lexical import rank_by_words

    texts = [passage_text(*passage) for passage in data.passages]
    normalised: dict[int, str] = {}

    def holds_answer(accepted: list[str], at: int) -> bool:
        if at not in normalised:
            normalised[at] = normalise(texts[at])
        return answer_in_normalised(accepted, normalised[at])

    def negatives(example: RetrievalExample, ranked: Sequence[int]) -> tuple[int, ...]:
        accepted = answers.get(example.question, [])
        wrong = (
            at
            for at in ranked
            if at >= 0 and at not in example.positives and not (accepted and holds_answer(accepted, at))
        )
        return tuple(at for at, _ in zip(wrong, range(MINED), strict=False))

    questions = [example.question for example in data.examples]
    _, rows = rank_by_words(texts, questions, min(DEPTH, len(texts)))
    mined = [
        replace(example, negatives=negatives(example, ranked.tolist()))
        for example, ranked in zip(data.examples, rows, strict=True)
    ]
    return replace(data, examples=mined)


def draw_lists(sets: Sequence[RetrievalSet], negatives: int, rng: np.random.Generator) -> list[RankedList]:
    """A list a question: one of its positives and `negatives` of its negatives (all, where it has fewer)."""
    lists = []
    for data in sets:
        for example in data.examples:
            positive = example.positives[int(rng.integers(len(example.positives)))]
            drawn = rng.permutation(len(example.negatives))[:negatives].tolist()
            passages = (positive, *(example.negatives[at] for at in drawn))
            lists.append(RankedList(data, example.question, passages))
    return lists


def plan_batches(lists: Sequence[RankedList], size: int, rng: np.random.Generator) -> list[list[RankedList]]:
    """Every list once, in batches of `size` lists whose longest passages are alike, in random order."""
    longest = [max(len(one.data.passages[at][1]) for at in one.passages) for one in lists]
    order = rng.permutation(len(lists)).tolist()
    batches: list[list[RankedList]] = []
    for begin in range(0, len(order), BUCKET * size):
        bucket = sorted(order[begin : begin + BUCKET * size], key=longest.__getitem__)
        batches += [[lists[at] for at in bucket[i : i + size]] for i in range(0, len(bucket), size)]
    return [batches[at] for at in rng.permutation(len(batches)).tolist()]
