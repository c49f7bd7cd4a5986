"""Questions with answers, to train and to validate RAG on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ragkit.corpus.document import Passage
from ragkit.corpus.questions import load_questions
from ragkit.errors import RagkitError
from ragkit.evaluation.answers import answer_in_text
from ragkit.training.retrieval.data import RetrievalExample, RetrievalSet, split_held_out


@dataclass(frozen=True, slots=True)
class RagExample:
    """A question with its accepted answers, of which the first is learnt.

    `relevant` are ids of documents or passages; no part of the loss looks at them.
    """

    question: str
    answers: tuple[str, ...]
    relevant: frozenset[str] = frozenset()

    def found_in(self, passages: Sequence[Passage], known: bool) -> bool:
        """Whether one of the passages is relevant or, where no relevant one is `known`, holds an answer."""
        if known:
            return any(p.id in self.relevant or p.document_id in self.relevant for p in passages)
        return any(answer_in_text(self.answers, passage.text) for passage in passages)


def read_examples(paths: Sequence[str | Path], split: str | None) -> tuple[list[RagExample], int]:
    """The questions that have an answer, and how many have none and are left out.

    Args:
        paths: DPR JSON, SQuAD JSON, BEIR folders with `answers.jsonl`.
        split: of BEIR folders, by default `train`.

    Raises:
        RagkitError: if one cannot be read, lacks the split, or no question has an answer.
    """
    found: list[RagExample] = []
    total = 0
    for path in paths:
        asked = load_questions(path, (split or "train") if Path(path).is_dir() else None).questions
        total += len(asked)
        for one in asked:
            answers = tuple(answer for answer in one.answers if answer.strip())
            if one.text.strip() and answers:
                relevant = frozenset(name for name, grade in one.relevant.items() if grade > 0)
                found.append(RagExample(one.text.strip(), answers, relevant))
    if not found:
        raise RagkitError(
            f"{', '.join(map(str, paths))}: none of {total:,} questions has an answer to learn from"
        )
    return found, total - len(found)


def hold_out(
    examples: Sequence[RagExample], articles: Sequence[str], count: int
) -> tuple[list[RagExample], list[RagExample]]:
    """(training, held out): whole articles, as `split_held_out` chooses them.

    `articles` names what each example is about; "" for an example alone.
    """
    keys = [(article, example.question) for example, article in zip(examples, articles, strict=True)]
    whole = RetrievalSet("", keys, [RetrievalExample(key[1], (at,)) for at, key in enumerate(keys)])
    learnt, held = split_held_out(whole, count)
    return (
        [examples[one.positives[0]] for one in learnt.examples],
        [examples[one.positives[0]] for one in held.examples],
    )
