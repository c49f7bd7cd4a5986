"""What RAG-Sequence and RAG-Token share: read once, propose candidates, score them under every passage."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.errors import RagkitError
from ragkit.generation.answer import Answer, Support, WithoutPassage
from ragkit.generation.answerer import Answerer, checked, nothing_found
from ragkit.generation.candidates import Candidates
from ragkit.generation.marginal import Logs, none_answers, normalised, without
from ragkit.retrieval.hit import Hit
from ragkit.runtime.precision import AUTO

if TYPE_CHECKING:
    from ragkit.generation.generator import Generator, Reading, Tokens
    from ragkit.generation.tools.tool import Tool, ToolCall
    from ragkit.retrieval.index import Index, Mode

PROMPTS_AT_ONCE = 40
"""Prompts read in one batch: bounds the memory that many questions take."""


class Rag(Answerer):
    """Retrieval-augmented generation (Lewis et al. 2020): answers marginalised over the passages.

    Args:
        index: where `ask` searches; may be left out if only `answer` is used.
        generator: what `load_generator` takes ("packaged", a folder, a hub id, a GGUF file), or one loaded.
        k: passages a question.
        temperature: of p(z|x) = softmax(score / temperature); left out, the search mode's default.
        beams: hypotheses kept in beam search.
        max_answer_tokens: most tokens of an answer, its end included.
        min_answer_tokens: fewest, its end included; from 2 on there is no empty answer.
        alternatives: how many other answers are told with their log p(y|x), the likeliest; what cannot be
            among them is not scored to its end. With `why` every candidate is.
        mode, weight_by: as in `Answerer`.
        tools: what the generator may call before it answers, see `tools.tool`. A generator calls what it was
            taught to call; the packaged one was taught none.
        runtime, precision, cache_bytes: of a generator that is loaded here, see `load_generator`.

    Raises RagkitError for values out of range and where the generator does not load.
    """

    def __init__(
        self,
        index: Index | None = None,
        generator: str | Generator = "packaged",
        *,
        k: int = 5,
        temperature: float | None = None,
        beams: int = 4,
        max_answer_tokens: int = 32,
        min_answer_tokens: int = 0,
        alternatives: int = 3,
        mode: Mode = "hybrid",
        weight_by: str | None = None,
        tools: Sequence[Tool] = (),
        runtime: str = AUTO,
        precision: str = AUTO,
        cache_bytes: int = 0,
    ) -> None:
        super().__init__(index, k=k, temperature=temperature, mode=mode, weight_by=weight_by)
        if beams < 1:
            raise RagkitError(f"beams must be at least 1, not {beams}")
        if not 0 <= min_answer_tokens <= max_answer_tokens or max_answer_tokens < 1:
            raise RagkitError(
                f"the answer's length must satisfy 0 <= min <= max, 1 <= max, not min {min_answer_tokens} "
                f"and max {max_answer_tokens}"
            )
        if alternatives < 1:
            raise RagkitError(f"alternatives must be at least 1, not {alternatives}")
        self.beams = beams
        self.max_answer_tokens = max_answer_tokens
        self.min_answer_tokens = min_answer_tokens
        self.alternatives = alternatives
        self.tools = {tool.name: tool for tool in tools}
        if len(self.tools) < len(tools):
            raise RagkitError("two tools have one name: give each its own")
        self.weights = generator if isinstance(generator, str) else "given"
        if isinstance(generator, str):
            from ragkit.generation.loading import load_generator

            self.generator: Generator = load_generator(generator, precision, cache_bytes, runtime)
        else:
            self.generator = generator

    @property
    def config(self) -> dict[str, Any]:
        """Everything the answers depend on besides the index's passages, as JSON values."""
        return {
            **super().config,
            "weights": self.weights,
            "beams": self.beams,
            "max_answer_tokens": self.max_answer_tokens,
            "min_answer_tokens": self.min_answer_tokens,
            **({"tools": list(self.tools)} if self.tools else {}),
        }

    def answer(
        self, questions: Sequence[str], hits: Sequence[Sequence[Hit]], *, why: bool = False
    ) -> list[Answer]:
        """Answers each question from its own hits; several questions share the model's batches.

        Questions may have different numbers of hits. One without any gets an empty answer.

        Raises RagkitError for an empty question, and for one that overflows the model's window.
        """
        checked(questions, hits)
        answers = [nothing_found(question) for question in questions]
        called = [self._call_tools(question, found) for question, found in zip(questions, hits, strict=True)]
        for batch in _batches([found for _, found, _ in called]):
            made = self._answer_batch([called[i][0] for i in batch], [called[i][1] for i in batch], why)
            for i, answer in zip(batch, made, strict=True):
                answers[i] = replace(answer, question=questions[i], calls=called[i][2])
        return answers

    def _call_tools(self, question: str, hits: Sequence[Hit]) -> tuple[str, Sequence[Hit], list[ToolCall]]:
        """The question with the results of its calls, what there is to read, and the calls."""
        if not self.tools:
            return question, hits, []
        from ragkit.generation.tools.use import use_tools

        return use_tools(self.generator, self.tools, question, hits)

    def _answer_batch(self, questions: list[str], hits: list[Sequence[Hit]], why: bool) -> list[Answer]:
        reading, cut = self.generator.read(
            [question for question, found in zip(questions, hits, strict=True) for _ in found],
            [hit.passage for found in hits for hit in found],
            self.max_answer_tokens,
        )
        priors = [self._log_priors(found) for found in hits]
        # Where an empty answer may be taken out of the ranking, one more takes its place.
        others = self.alternatives if self.best_of is None else max(self.alternatives, self.best_of.n)
        keep = None if why else 1 + others + self.generator.ending.empty_is_none
        candidates = self._scored(reading, self._candidates(reading, priors), priors, keep)
        begins = np.cumsum([0, *(len(prior) for prior in priors)]).tolist()
        log_none = self._log_none(reading)
        answers = []
        for question, found, proposed, prior, begin in zip(
            questions, hits, candidates, priors, begins, strict=False
        ):
            none = None if log_none is None else log_none[begin : begin + len(found)]
            answer = self._explain(question, found, proposed, prior, none, why)
            for hit, lost in zip(found, cut[begin : begin + len(found)], strict=True):
                if lost:
                    answer.truncated[hit.passage.id] = lost
            answers.append(answer)
        return answers

    def _explain(
        self,
        question: str,
        hits: Sequence[Hit],
        candidates: Candidates,
        log_prior: Logs,
        log_none: Logs | None,
        why: bool,
    ) -> Answer:
        """The best candidate, and all that follows from the likelihoods."""
        tokens = candidates.log_p
        log_p = self._log_probability(log_prior, tokens)
        likelihoods = tokens.sum(-1)
        empty = self._empty(candidates)
        if empty is not None and not none_answers(likelihoods[empty]):
            log_p[empty] = -np.inf
        texts = [
            self._text(hits, answer, log_prior + likelihood)
            for answer, likelihood in zip(candidates.answers, likelihoods, strict=True)
        ]
        best, *others = self._ranked(question, hits, log_prior, texts, log_p)
        likelihood = likelihoods[best]
        posterior = np.exp(normalised(log_prior + likelihood))
        support = [
            Support(
                hits[z].passage,
                float(np.exp(log_prior[z])),
                float(likelihood[z]),
                float(posterior[z]),
                hits[z].score,
                None if log_none is None else float(log_none[z]),
            )
            for z in np.argsort(-posterior, kind="stable")
        ]
        alternatives: dict[str, float] = {}
        for c in others:
            if texts[c] != texts[best] and log_p[c] > -np.inf:
                alternatives.setdefault(texts[c], float(log_p[c]))
        answer = Answer(question, texts[best], float(log_p[best]), support, list(alternatives.items()))
        if why and len(hits) > 1:
            for z, hit in enumerate(hits):
                rest = without(log_prior, z)
                log_p = self._log_probability(rest, tokens)
                log_p[~np.delete(candidates.found_by, z, axis=1).any(axis=1)] = -np.inf
                if empty is not None and not none_answers(likelihoods[empty][rest > -np.inf]):
                    log_p[empty] = -np.inf
                best = int(log_p.argmax())
                text = self._text(hits, candidates.answers[best], rest + likelihoods[best])
                answer.without.append(WithoutPassage(hit.passage, text, float(log_p[best])))
        return answer

    def _log_none(self, reading: Reading) -> Logs | None:
        """log p(the empty answer | x, z), (rows,), of models whose empty answer says that there is none."""
        ending = self.generator.ending
        if not ending.empty_is_none:
            return None
        logs = reading.logits.double().log_softmax(-1)[:, list(ending.stops)].logsumexp(-1)
        return np.asarray(logs.cpu())

    def _empty(self, candidates: Candidates) -> int | None:
        """The candidate that says that the passage does not hold the answer, if it is not the only one."""
        if not self.generator.ending.empty_is_none or len(candidates.answers) == 1:
            return None
        return next((c for c, answer in enumerate(candidates.answers) if len(answer) == 1), None)

    def _text(self, hits: Sequence[Hit], answer: Tokens, log_joint: Logs) -> str:
        """A candidate's text, spelled as in the passage with the highest log p(z,y|x), `log_joint` (k,)."""
        return self.generator.text(answer, hits[int(log_joint.argmax())].passage)

    @abstractmethod
    def _candidates(self, reading: Reading, log_priors: list[Logs]) -> list[Candidates]:
        """Proposes answers to each question; the rows of `reading` are the questions' passages in order."""

    def _scored(
        self, reading: Reading, candidates: list[Candidates], log_priors: list[Logs], keep: int | None
    ) -> list[Candidates]:
        """The `keep` likeliest candidates of each question, or more, with all their log p."""
        from ragkit.generation.thorough import score

        return score(reading, candidates, log_priors)

    @abstractmethod
    def _log_probability(self, log_prior: Logs, tokens: Logs) -> Logs:
        """log p(y|x), (C,), from log p(z|x), (k,), and log p(y_t|x,z,y_<t), (C, k, T), 0 behind an end."""


def _batches(hits: list[Sequence[Hit]]) -> Iterator[list[int]]:
    """Questions with at least one passage, in groups of at most PROMPTS_AT_ONCE passages.

    Questions whose longest passages are about as long come together: prompts are padded to the longest.
    """
    batch: list[int] = []
    for i in sorted(
        range(len(hits)), key=lambda i: max((len(hit.passage.text) for hit in hits[i]), default=0)
    ):
        if batch and sum(len(hits[j]) for j in batch) + len(hits[i]) > PROMPTS_AT_ONCE:
            yield batch
            batch = []
        if hits[i]:
            batch.append(i)
    if batch:
        yield batch
