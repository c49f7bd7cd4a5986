"""What every answerer does around its own mathematics: search, and keep questions and hits together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.errors import RagkitError
from ragkit.generation.answer import Answer
from ragkit.generation.marginal import Logs, log_priors, normalised
from ragkit.generation.source_weights import log_weights
from ragkit.retrieval.hit import Hit
from ragkit.retrieval.temperature import TEMPERATURES

if TYPE_CHECKING:
    from ragkit.generation.best_of import BestOf
    from ragkit.retrieval.index import Index, Mode


class Answerer(ABC):
    """Answers questions from the passages that an index finds, or from hits that are given.

    Args:
        index: where `ask` searches; may be left out if only `answer` is used.
        k: passages a question.
        temperature: of p(z|x), above 0; left out, the mode's default.
        mode: how `ask` searches.
        weight_by: a field of the passages' metadata by which p(z|x) is multiplied, see `source_weights`.
    """

    best_of: BestOf | None = None
    """Set it, and of the likeliest answers the one that its reward model prefers is given."""

    def __init__(
        self,
        index: Index | None = None,
        *,
        k: int = 5,
        temperature: float | None = None,
        mode: Mode = "hybrid",
        weight_by: str | None = None,
    ) -> None:
        if k < 1:
            raise RagkitError(f"k must be at least 1, not {k}")
        if mode not in TEMPERATURES:
            raise RagkitError(f"no such search mode: {mode!r}; there are {', '.join(TEMPERATURES)}")
        self.index = index
        self.k = k
        self.mode: Mode = mode
        self.temperature = TEMPERATURES[mode] if temperature is None else temperature
        if not self.temperature > 0:
            raise RagkitError(f"the temperature must be above 0, not {temperature}")
        self.weight_by = weight_by

    @property
    def config(self) -> dict[str, Any]:
        """What the answers depend on besides the index's passages, as JSON values."""
        named: dict[str, Any] = {"k": self.k, "temperature": self.temperature, "mode": self.mode}
        if self.index is not None:
            named["encoder"] = self.index.manifest.passport.name
            if self.index.manifest.fusion is not None:
                named["fusion"] = "tuned"
            if (reranker := self.index.reranker) is not None:
                named |= {"reranker": reranker.name, "reranker_depth": reranker.depth}
        if self.weight_by is not None:
            named["weight_by"] = self.weight_by
        if self.best_of is not None:
            named["best_of"] = self.best_of.n
        return named

    def ask(self, question: str, *, why: bool = False, filter: str | None = None) -> Answer:
        """Answers one question: see `ask_batch`."""
        return self.ask_batch([question], why=why, filter=filter)[0]

    def ask_batch(
        self, questions: Sequence[str], *, why: bool = False, filter: str | None = None
    ) -> list[Answer]:
        """Searches the index for each question and answers from what it finds.

        Args:
            why: fill `Answer.without`, the answers with one passage left out.
            filter: only passages whose metadata match, as in `Index.search`.

        Raises RagkitError without an index, and for an empty question.
        """
        if self.index is None:
            raise RagkitError("there is no index to search: give one, or call answer() with passages")
        found = self.index.search_batch(questions, k=self.k, mode=self.mode, filter=filter)
        return self.answer(questions, found, why=why)

    def _log_priors(self, hits: Sequence[Hit]) -> Logs:
        """log p(z|x) of the hits, (k,)."""
        logs = log_priors([hit.score for hit in hits], self.temperature)
        if self.weight_by is None:
            return logs
        return normalised(logs + log_weights([hit.passage for hit in hits], self.weight_by))

    def _ranked(
        self, question: str, hits: Sequence[Hit], log_prior: Logs, texts: Sequence[str], log_p: Logs
    ) -> list[int]:
        """The candidates by log p(y|x), likeliest first; the best of n before all others where it is set.

        Where no answer is the likeliest, it stays the answer.
        """
        order: list[int] = np.argsort(-log_p, kind="stable").tolist()
        if self.best_of is None or not texts[order[0]].strip():
            return order
        likely = [(texts[c], float(log_p[c])) for c in order if log_p[c] > -np.inf]
        passages = [hit.passage for hit in hits]
        chosen = self.best_of.weighed(question, likely, passages, np.exp(log_prior).tolist())[0].text
        best = next(c for c in order if texts[c] == chosen)
        return [best, *(c for c in order if c != best)]

    @abstractmethod
    def answer(
        self, questions: Sequence[str], hits: Sequence[Sequence[Hit]], *, why: bool = False
    ) -> list[Answer]:
        """Answers each question from its own hits, whose scores give p(z|x)."""


def checked(questions: Sequence[str], hits: Sequence[Sequence[Hit]]) -> None:
    """Raises RagkitError for an empty question and where questions and hits do not go together."""
    if len(questions) != len(hits):
        raise RagkitError(f"{len(questions)} questions came with passages for {len(hits)}")
    for question in questions:
        if not question.strip():
            raise RagkitError("the question is empty")


def nothing_found(question: str) -> Answer:
    """The answer where there is no passage to read: empty, and certain."""
    return Answer(question=question, text="", log_probability=0.0)
