"""The extractive reader: an answer is a span of a passage, summed over passages like a generated one.

    p(y|x) = sum_z p(z|x) sum over the spans of z that read y of p(span | x, z)

with p(span | x, z) from `span_scores`. "No answer" is one outcome more; a passage that says so weighs little
in every other sum, so that it is also what tells good passages from bad. It is the answer if more likely than
not all passages say so (`marginal.none_answers`).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.corpus.document import Passage
from ragkit.corpus.normalisation import normalise
from ragkit.errors import RagkitError
from ragkit.generation.answer import Answer, Support, WithoutPassage
from ragkit.generation.answerer import Answerer, checked, nothing_found
from ragkit.generation.loading import PACKAGED, load_reader
from ragkit.generation.marginal import Logs, log_sum, none_answers, normalised, without
from ragkit.generation.span_scores import SpanScorer, SpanScores
from ragkit.retrieval.hit import Hit
from ragkit.runtime.precision import AUTO

if TYPE_CHECKING:
    from ragkit.retrieval.index import Index, Mode

PROPOSED = 10
"""Spans that each passage proposes as answers; each is then scored in every passage."""
QUESTIONS_AT_ONCE = 64
"""Questions whose passages are read together: bounds the memory that many questions take."""

Place = tuple[float, int, int, int]
"""Where an answer stands: log p(z|x) p(span|x,z), the passage z, first and last character (exclusive)."""


class ExtractiveReader(Answerer):
    """Finds answers word for word in the passages.

    Args:
        index: where `ask` searches; may be left out if only `answer` is used.
        reader: "packaged", a folder or hub id of a question-answering model, or (model, tokenizer).
        k, temperature, mode, weight_by: as in `Answerer`.
        max_answer_tokens: L, the most tokens of an answer.
        allow_empty: whether "no answer in the passages" may win; `Answer.text` is then "". Without it the
            likeliest span wins, however improbable.
        runtime, precision: as in `ragkit.runtime.pairs.PairModel`.

    Raises RagkitError for values out of range and where the model does not load or serve.
    """

    def __init__(
        self,
        index: "Index | None" = None,
        reader: "str | tuple[Any, Any]" = PACKAGED,
        *,
        k: int = 5,
        temperature: float | None = None,
        mode: "Mode" = "hybrid",
        weight_by: str | None = None,
        max_answer_tokens: int = 30,
        allow_empty: bool = True,
        runtime: str = AUTO,
        precision: str = AUTO,
    ) -> None:
        super().__init__(index, k=k, temperature=temperature, mode=mode, weight_by=weight_by)
        if max_answer_tokens < 1:
            raise RagkitError(f"max_answer_tokens must be at least 1, not {max_answer_tokens}")
        self.max_answer_tokens = max_answer_tokens
        self.allow_empty = allow_empty
        self.weights = reader if isinstance(reader, str) else "given"
        model, tokenizer = load_reader(reader) if isinstance(reader, str) else reader
        self.scorer = SpanScorer(model, tokenizer, max_answer_tokens, runtime, precision)

    @property
    def config(self) -> dict[str, Any]:
        return {
            "model": "reader",
            "weights": self.weights,
            **super().config,
            "max_answer_tokens": self.max_answer_tokens,
            "allow_empty": self.allow_empty,
        }

    def answer(
        self, questions: Sequence[str], hits: Sequence[Sequence[Hit]], *, why: bool = False
    ) -> list[Answer]:
        """Answers each question from its own hits; questions share the model's batches.

        Raises RagkitError for an empty question.
        """
        checked(questions, hits)
        answers = []
        for at in range(0, len(questions), QUESTIONS_AT_ONCE):
            some = slice(at, at + QUESTIONS_AT_ONCE)
            batch = list(zip(questions[some], hits[some], strict=True))
            read = iter(self.scorer.read([(asked, hit.passage) for asked, found in batch for hit in found]))
            for question, found in batch:
                answers.append(self._answer(question, found, [next(read) for _ in found], why))
        return answers

    def _answer(self, question: str, hits: Sequence[Hit], read: list[SpanScores], why: bool) -> Answer:
        if not hits:
            return nothing_found(question)
        passages = [hit.passage for hit in hits]
        prior = self._log_priors(hits)
        likelihood, places = _outcomes(passages, prior, read)
        none = np.array([shown.null - shown.log_all for shown in read])
        if self.allow_empty:
            likelihood[""] = none
            places[""] = []
        if not likelihood:
            return nothing_found(question)
        keys = list(likelihood)
        table = np.stack([likelihood[key] for key in keys])
        texts = [_text(places[key], passages) for key in keys]
        marginal = _marginal(prior, likelihood)
        best, *others = self._ranked(question, hits, prior, texts, marginal)
        possible = [(texts[c], float(marginal[c])) for c in others if marginal[c] > -np.inf]
        result = Answer(
            question=question,
            text=texts[best],
            log_probability=float(marginal[best]),
            support=_support(hits, prior, table[best], none, places[keys[best]]),
            alternatives=possible[: PROPOSED - 1],
        )
        if why and len(passages) > 1:
            for z, passage in enumerate(passages):
                rest = _marginal(without(prior, z), likelihood)
                other = int(rest.argmax())
                elsewhere = [place for place in places[keys[other]] if place[1] != z]
                result.without.append(WithoutPassage(passage, _text(elsewhere, passages), float(rest[other])))
        return result


def _marginal(prior: Logs, likelihood: dict[str, Logs]) -> Logs:
    """log p(y|x) of each answer, (n,); -inf for "no answer" unless it is more likely than not."""
    marginal = log_sum(prior + np.stack(list(likelihood.values())))
    if "" in likelihood and len(likelihood) > 1 and not none_answers(likelihood[""][prior > -np.inf]):
        marginal[list(likelihood).index("")] = -np.inf
    return marginal


def _outcomes(
    passages: Sequence[Passage], prior: Logs, read: Sequence[SpanScores]
) -> tuple[dict[str, Logs], dict[str, list[Place]]]:
    """By answer, log p(y|x,z) for every passage, (k,), and the places where it stands.

    Texts that differ in case, articles or punctuation are one answer.
    """
    proposals = dict.fromkeys(
        tuple(shown.tokens.ids[first : last + 1].tolist())
        for shown in read
        for first, last in shown.best(PROPOSED)
    )
    likelihood: dict[str, Logs] = {}
    places: dict[str, list[Place]] = {}
    for answer in proposals:
        for z, (passage, shown) in enumerate(zip(passages, read, strict=True)):
            for span in shown.occurrences(answer):
                start, end = shown.characters(span, passage.text)
                text, log_p = passage.text[start:end], shown.log_probability(span)
                key = normalise(text) or text
                if key:  # not of white space alone
                    column = likelihood.setdefault(key, np.full(len(read), -np.inf))
                    column[z] = np.logaddexp(column[z], log_p)
                    places.setdefault(key, []).append((float(prior[z]) + log_p, z, start, end))
    return likelihood, places


def _text(places: list[Place], passages: Sequence[Passage]) -> str:
    """The answer as it is written where it is likeliest; "" for no answer, which stands nowhere."""
    if not places:
        return ""
    _, z, start, end = max(places)
    return passages[z].text[start:end]


def _support(
    hits: Sequence[Hit], prior: Logs, likelihood: Logs, none: Logs, places: list[Place]
) -> list[Support]:
    posterior = np.exp(normalised(prior + likelihood))
    found = []
    for z in np.argsort(-posterior, kind="stable"):
        support = Support(
            hits[z].passage,
            float(np.exp(prior[z])),
            float(likelihood[z]),
            float(posterior[z]),
            hits[z].score,
            float(none[z]),
        )
        inside = [place for place in places if place[1] == z]
        if inside:
            _, _, start, end = max(inside)
            support = replace(support, start=start, end=end)
        found.append(support)
    return found
